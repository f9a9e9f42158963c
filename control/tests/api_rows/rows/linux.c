/*
 * Linux's options on the same connection: MPTCP_INFO, MPTCP_TCPINFO, MPTCP_SUBFLOW_ADDRS,
 * MPTCP_FULL_INFO, TCP_IS_MPTCP, TCP_INFO, with the structs of its headers.
 */
#include "rows.h"

#include <stddef.h>

static int get(int fd, int name, void *into, socklen_t *length)
{
	return getsockopt(fd, SOL_MPTCP, name, into, length);
}

static int with_two(void)
{
	int fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	echo(fd, 100000);
	return fd;
}

static uint32_t token(int fd)
{
	uint32_t id = 0;
	socklen_t length = sizeof id;
	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_MP_CONNID, &id, &length) == 0);
	return id;
}

static void info(void)
{
	struct mptcp_info now;
	socklen_t length = sizeof now;
	int fd = with_two();
	EXPECT(get(fd, MPTCP_INFO, &now, &length) == 0 && length == sizeof now);
	EXPECT(now.mptcpi_subflows == 1 && now.mptcpi_token == token(fd));
	EXPECT(now.mptcpi_flags == MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED);
	EXPECT(now.mptcpi_add_addr_accepted == 1 && now.mptcpi_add_addr_accepted_max == 8);
	EXPECT(now.mptcpi_local_addr_max == 1 && now.mptcpi_csum_enabled == 0);
	EXPECT(now.mptcpi_snd_una <= now.mptcpi_write_seq);
	uint64_t sequence = now.mptcpi_write_seq, next = now.mptcpi_rcv_nxt;
	echo(fd, 5000);
	EXPECT(get(fd, MPTCP_INFO, &now, &length) == 0);
	EXPECT(now.mptcpi_write_seq == sequence + 5000 && now.mptcpi_rcv_nxt == next + 5000);

	/* As the kernel does: of what is asked for as much as fits, and 0 to ask whether at all. */
	char larger[256];
	length = sizeof larger;
	EXPECT(get(fd, MPTCP_INFO, larger, &length) == 0 && length >= sizeof now && length < sizeof larger);
	length = 12;
	EXPECT(get(fd, MPTCP_INFO, larger, &length) == 0 && length == 12);
	length = 0;
	EXPECT(get(fd, MPTCP_INFO, larger, &length) == 0 && length == 0);
	EXPECT_ERROR(setsockopt(fd, SOL_MPTCP, MPTCP_INFO, &now, sizeof now), EINVAL);
	close(fd);
}

/* Regular TCP from the start, and before there is a connection. */
static void elsewhere(void)
{
	struct mptcp_info now;
	socklen_t length = sizeof now;
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	EXPECT(set_int(fd, TCP_MP_PROFILE, 1) == 0);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 0);
	EXPECT_ERROR(get(fd, MPTCP_INFO, &now, &length), ENOTCONN);
	close(fd);
	EXPECT_ERROR(get(fd, MPTCP_INFO, &now, &length), EBADF);
	fd = connected(PLAIN_PORT);
	for (int name = MPTCP_INFO; name <= MPTCP_FULL_INFO; name++)
		EXPECT_ERROR(get(fd, name, &now, &length), EOPNOTSUPP);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 0 && get_int(fd, TCP_MP_ENABLE) == 0);
	close(fd);
}

/* An array behind a header of the program's size. */
struct tcp_infos {
	struct mptcp_subflow_data data;
	struct tcp_info infos[4];
};

static void tcp_infos(void)
{
	int fd = with_two();
	struct tcp_infos now = {.data = {.size_subflow_data = sizeof now.data, .size_user = sizeof(struct tcp_info)}};
	socklen_t length = sizeof now;
	EXPECT(get(fd, MPTCP_TCPINFO, &now, &length) == 0);
	EXPECT(now.data.num_subflows == 2 && now.data.size_kernel >= sizeof(struct tcp_info));
	EXPECT(length == sizeof now.data + 2 * sizeof(struct tcp_info));
	for (int n = 0; n < 2; n++) {
		EXPECT(now.infos[n].tcpi_state == TCP_ESTABLISHED);
		EXPECT(now.infos[n].tcpi_snd_mss > 500 && now.infos[n].tcpi_rtt > 0);
	}
	EXPECT(now.infos[0].tcpi_bytes_acked + now.infos[1].tcpi_bytes_acked >= 100000);

	/* Room for one; records of eight bytes; a header that is larger. */
	struct tcp_infos one = {.data = {.size_subflow_data = sizeof one.data, .size_user = sizeof(struct tcp_info)}};
	length = sizeof one.data + sizeof(struct tcp_info) + 7;
	EXPECT(get(fd, MPTCP_TCPINFO, &one, &length) == 0);
	EXPECT(one.data.num_subflows == 2 && length == sizeof one.data + sizeof(struct tcp_info));
	struct {
		struct mptcp_subflow_data data;
		char newer[8], records[4][8];
	} small = {.data = {.size_subflow_data = sizeof small.data + 8, .size_user = 8}};
	length = sizeof small;
	EXPECT(get(fd, MPTCP_TCPINFO, &small, &length) == 0);
	EXPECT(length == sizeof small.data + 8 + 2 * 8 && small.records[0][0] == TCP_ESTABLISHED);

	/* What has to be zero, and sizes that cannot be. */
	struct tcp_infos bad = {.data = {.size_subflow_data = sizeof bad.data, .num_subflows = 1}};
	length = sizeof bad;
	EXPECT_ERROR(get(fd, MPTCP_TCPINFO, &bad, &length), EINVAL);
	bad.data = (struct mptcp_subflow_data){.size_subflow_data = sizeof bad.data, .size_kernel = 1};
	EXPECT_ERROR(get(fd, MPTCP_TCPINFO, &bad, &length), EINVAL);
	bad.data = (struct mptcp_subflow_data){.size_subflow_data = sizeof bad.data - 1};
	EXPECT_ERROR(get(fd, MPTCP_TCPINFO, &bad, &length), EINVAL);
	bad.data = (struct mptcp_subflow_data){.size_subflow_data = sizeof bad + 1};
	EXPECT_ERROR(get(fd, MPTCP_TCPINFO, &bad, &length), EINVAL);
	length = sizeof bad.data - 1;
	EXPECT_ERROR(get(fd, MPTCP_TCPINFO, &bad, &length), EINVAL);
	close(fd);
}

static void addresses(void)
{
	struct {
		struct mptcp_subflow_data data;
		struct mptcp_subflow_addrs pairs[4];
	} now = {.data = {.size_subflow_data = sizeof now.data, .size_user = sizeof now.pairs[0]}};
	int fd = with_two();
	socklen_t length = sizeof now;
	EXPECT(get(fd, MPTCP_SUBFLOW_ADDRS, &now, &length) == 0);
	EXPECT(now.data.num_subflows == 2 && now.data.size_kernel == sizeof now.pairs[0]);
	EXPECT(length == sizeof now.data + 2 * sizeof now.pairs[0]);
	EXPECT(now.pairs[0].sin_local.sin_addr.s_addr == at(OUR_FIRST, 0).sin_addr.s_addr);
	EXPECT(now.pairs[0].sin_remote.sin_port == htons(MULTIPATH_PORT));
	EXPECT(now.pairs[1].sa_family == AF_INET);
	EXPECT(now.pairs[1].sin_remote.sin_addr.s_addr == at(PEER_SECOND, 0).sin_addr.s_addr);
	close(fd);
}

static void full_info(void)
{
	struct mptcp_subflow_info subflows[4] = {0};
	struct tcp_info infos[4] = {0};
	struct mptcp_full_info ask = {
		.size_tcpinfo_user = sizeof infos[0],
		.size_sfinfo_user = sizeof subflows[0],
		.size_arrays_user = 4,
		.subflow_info = (uintptr_t)subflows,
		.tcp_info = (uintptr_t)infos,
	}, now = ask;
	int fd = with_two();
	socklen_t length = sizeof now;
	EXPECT(get(fd, MPTCP_FULL_INFO, &now, &length) == 0 && length == sizeof now);
	EXPECT(now.num_subflows == 2 && now.size_arrays_user == 4);
	EXPECT(now.size_tcpinfo_kernel >= sizeof infos[0] && now.size_sfinfo_kernel == sizeof subflows[0]);
	EXPECT(now.mptcp_info.mptcpi_token == token(fd) && now.mptcp_info.mptcpi_subflows == 1);
	EXPECT(subflows[0].id == 0 && subflows[1].id == 1 && subflows[2].addrs.sa_family == 0);
	EXPECT(subflows[1].addrs.sin_local.sin_addr.s_addr == at(OUR_SECOND, 0).sin_addr.s_addr);
	EXPECT(infos[0].tcpi_state == TCP_ESTABLISHED && infos[1].tcpi_state == TCP_ESTABLISHED);
	EXPECT(infos[2].tcpi_state == 0);

	/* One place in the arrays, and none of the second. */
	memset(infos, 0, sizeof infos);
	now = ask;
	now.size_arrays_user = 1;
	EXPECT(get(fd, MPTCP_FULL_INFO, &now, &length) == 0);
	EXPECT(now.num_subflows == 2 && infos[0].tcpi_state && !infos[1].tcpi_state);
	now = ask;
	now.size_tcpinfo_user = 0;
	now.tcp_info = 0;
	EXPECT(get(fd, MPTCP_FULL_INFO, &now, &length) == 0 && now.num_subflows == 2);

	/* A bad pointer harms its program alone, and as the kernel has it. */
	now = ask;
	now.subflow_info = 4096;
	EXPECT_ERROR(get(fd, MPTCP_FULL_INFO, &now, &length), EFAULT);
	now = ask;
	now.num_subflows = 1;
	EXPECT_ERROR(get(fd, MPTCP_FULL_INFO, &now, &length), EINVAL);
	now = ask;
	now.size_sfinfo_user = 0x80000000u;
	EXPECT_ERROR(get(fd, MPTCP_FULL_INFO, &now, &length), EINVAL);
	now = ask;
	length = offsetof(struct mptcp_full_info, mptcp_info) - 1;
	EXPECT_ERROR(get(fd, MPTCP_FULL_INFO, &now, &length), EINVAL);
	length = offsetof(struct mptcp_full_info, mptcp_info);
	EXPECT(get(fd, MPTCP_FULL_INFO, &now, &length) == 0 && now.num_subflows == 2);
	echo(fd, 1000);
	close(fd);
}

static void tcp(void)
{
	struct tcp_info now;
	socklen_t length = sizeof now;
	int fd = with_two();
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 1);
	EXPECT_ERROR(set_int(fd, TCP_IS_MPTCP, 1), EINVAL);
	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &now, &length) == 0 && length == sizeof now);
	EXPECT(now.tcpi_state == TCP_ESTABLISHED && now.tcpi_rtt > 0 && now.tcpi_snd_cwnd > 0);
	length = 8;
	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &now, &length) == 0 && length == 8);
	close(fd);
}

const struct row linux_rows[] = {
	{"MPTCP_INFO", info},
	{"MPTCP_TCPINFO", tcp_infos},
	{"MPTCP_SUBFLOW_ADDRS", addresses},
	{"MPTCP_FULL_INFO", full_info},
	{"SOL_MPTCP on regular TCP and without a connection", elsewhere},
	{"TCP_IS_MPTCP and TCP_INFO", tcp},
	{NULL, NULL},
};
