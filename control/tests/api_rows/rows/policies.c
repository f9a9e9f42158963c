/*
 * The same rows under the other policies: Multipath TCP off by default, fate sharing, TCP_NODELAY
 * for latency, no Multipath TCP with small buffers; and host identity tags.
 */
#include "rows.h"

static int asks(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(set_int(fd, TCP_MULTIPATH_ENABLE, 1) == 0);
	return fd;
}

static void starts(int fd)
{
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 10000);
}

static void default_enable(void)
{
	int fd = connected(MULTIPATH_PORT);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 0);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(get_int(fd, TCP_MP_ENABLE) == 0);
	close(fd);
	fd = asks();
	EXPECT(get_int(fd, TCP_MULTIPATH_ENABLE) == 1);
	starts(fd);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 1);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	starts(fd);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 1);
	close(fd);
}

static void fate_sharing(void)
{
	int fd = asks(), on = 1;
	/* So that the subflow is given up within seconds. */
	EXPECT(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0);
	EXPECT(set_int(fd, TCP_KEEPIDLE, 1) == 0 && set_int(fd, TCP_KEEPINTVL, 1) == 0);
	EXPECT(set_int(fd, TCP_KEEPCNT, 1) == 0);
	starts(fd);
	wait_for_subflows(fd, 2);
	EXPECT(system("ip link set dev link1 down") == 0);
	char byte;
	EXPECT(recv(fd, &byte, 1, 0) == -1);
	EXPECT(system("ip link set dev link1 up") == 0);
	close(fd);
}

static void nodelay(void)
{
	int fd = asks();
	EXPECT(set_int(fd, TCP_NODELAY, 1) == 0);
	starts(fd);
	EXPECT(get_int(fd, TCP_MP_PROFILE) == TCP_MP_PROFILE_LATENCY);
	close(fd);
}

static void small_buffer(void)
{
	int fd = asks(), small = 8192;
	EXPECT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
	starts(fd);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 0);
	close(fd);
}

static int is_multipath_to(const char *address)
{
	struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(MULTIPATH_PORT)};
	inet_pton(AF_INET6, address, &name.sin6_addr);
	int fd = socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP);
	EXPECT(connect(fd, (struct sockaddr *)&name, sizeof name) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 10000);
	int used = get_int(fd, TCP_IS_MPTCP);
	close(fd);
	return used;
}

static void identity_tags(void)
{
	EXPECT(is_multipath_to("fd00:1::1") == 1);
	EXPECT(is_multipath_to("2001:20::1") == 0);
}

const struct row policy_rows[] = {
	{"L1 default_enable = false", default_enable},
	{"L5 fate_sharing = true", fate_sharing},
	{"L6 nodelay_selects_latency = true", nodelay},
	{"L7 small_buffer disables", small_buffer},
	{"L10 host identity tags", identity_tags},
	{NULL, NULL},
};
