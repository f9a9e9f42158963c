/* IPv6, alone and beside IPv4. */
#include "rows.h"

#define OUR_SIX "fd00:1::2"
#define OUR_OTHER_SIX "fd00:1::3"
#define PEER_SIX "fd00:1::1"

static struct sockaddr_storage six(const char *address, int port)
{
	struct sockaddr_storage whole = {0};
	struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	inet_pton(AF_INET6, address, &name.sin6_addr);
	memcpy(&whole, &name, sizeof name);
	return whole;
}

static int is_at_six(const struct sockaddr_storage *of, const char *address)
{
	struct sockaddr_in6 found, wanted;
	struct sockaddr_storage whole = six(address, 0);
	memcpy(&found, of, sizeof found);
	memcpy(&wanted, &whole, sizeof wanted);
	return found.sin6_family == AF_INET6 && !memcmp(&found.sin6_addr, &wanted.sin6_addr, 16);
}

static void starts(int fd)
{
	struct sockaddr_storage peer = six(PEER_SIX, MULTIPATH_PORT);
	EXPECT(connect(fd, (struct sockaddr *)&peer, sizeof(struct sockaddr_in6)) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 10000);
}

static void addresses(void)
{
	struct sockaddr_storage two[2] = {six(OUR_SIX, 0), six(OUR_OTHER_SIX, 0)}, got[4];
	struct sockaddr_storage nowhere = six("fd00:9::9", 0);
	socklen_t length = sizeof got;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, two, sizeof two[0]) == 0);
	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, got, &length) == 0);
	EXPECT(length == sizeof *got && !memcmp(got, two, sizeof *got));
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, &nowhere, sizeof nowhere), EADDRNOTAVAIL);
	starts(fd);
	struct listed now;
	EXPECT(list(fd, &now) == 0);
	EXPECT(now.header.total == 1 && is_at_six(&now.entries[0].local, OUR_SIX));
	EXPECT(is_at_six(&now.entries[0].remote, PEER_SIX));
	/* Another one, and then it alone. */
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, two, sizeof two) == 0);
	wait_for_subflows(fd, 2);
	echo(fd, 10000);
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, &two[1], sizeof two[1]) == 0);
	echo(fd, 10000);
	wait_for_subflows(fd, 1);
	EXPECT(list(fd, &now) == 0 && is_at_six(&now.entries[0].local, OUR_OTHER_SIX));
	echo(fd, 10000);
	close(fd);
}

/* Subflows of the other family, added either way round. */
static void add_mixed(void)
{
	struct tcp_mp_add_subflow new = {.local = six(OUR_OTHER_SIX, 0), .remote = six(PEER_SIX, 0)};
	struct listed now;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(manual(fd) == 0);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0 && send(fd, "e", 1, 0) == 1);
	echo(fd, 10000);
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADD_SUBFLOW, &new, sizeof new) == 0);
	wait_for_subflows(fd, 2);
	EXPECT(list(fd, &now) == 0 && is_at_six(&now.entries[1].local, OUR_OTHER_SIX));
	uint32_t first = 0;
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_REMOVE_SUBFLOW, &first, sizeof first) == 0);
	wait_for_subflows(fd, 1);
	echo(fd, 100000);
	/* And one of the first family again. */
	EXPECT(add_subflow(fd, OUR_SECOND, PEER_SECOND, 0) == 0);
	wait_for_subflows(fd, 2);
	echo(fd, 100000);
	new.remote = storage(PEER_FIRST, 0);
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADD_SUBFLOW, &new, sizeof new), EINVAL);
	close(fd);
}

static void multipath_mixed(void)
{
	socklen_t two = 8 + 2 * sizeof(struct sockaddr_storage);
	struct sockaddr_multipath peer = {.family = AF_MULTIPATH, .count = 2};
	peer.addresses[0] = storage(PEER_FIRST, MULTIPATH_PORT);
	peer.addresses[1] = six(PEER_SIX, MULTIPATH_PORT);
	int fd = socket(AF_MULTIPATH, SOCK_STREAM, 0);
	EXPECT(manual(fd) == 0);
	EXPECT(connect(fd, (struct sockaddr *)&peer, two) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 10000);
	wait_for_subflows(fd, 2);
	struct listed now;
	EXPECT(list(fd, &now) == 0);
	struct sockaddr_in first;
	memcpy(&first, &now.entries[0].remote, sizeof first);
	EXPECT(first.sin_family == AF_INET && is_at_six(&now.entries[1].remote, PEER_SIX));
	close(fd);
	/* Bound to one of each. */
	struct sockaddr_multipath ours = {.family = AF_MULTIPATH, .count = 2};
	ours.addresses[0] = storage(OUR_FIRST, 7998);
	ours.addresses[1] = six(OUR_SIX, 7998);
	fd = socket(AF_MULTIPATH, SOCK_STREAM, 0);
	EXPECT(bind(fd, (struct sockaddr *)&ours, two) == 0 && listen(fd, 5) == 0);
	int taken = accepted(fd, 7998);
	struct sockaddr_storage got[4];
	socklen_t length = sizeof got;
	EXPECT(getsockopt(taken, IPPROTO_TCP, TCP_MP_ADDRESSES, got, &length) == 0);
	EXPECT(length == 2 * sizeof *got && is_at_six(&got[1], OUR_SIX));
	close(taken);
	close(fd);
}

/* The traffic class and the hop limit, as they arrive. */
static void marks(void)
{
	static const struct { int name, value; } options[] = {{IPV6_TCLASS, 0x48}, {IPV6_UNICAST_HOPS, 33}};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	starts(fd);
	for (unsigned n = 0; n < 2; n++) {
		int got = -1;
		socklen_t length = sizeof got;
		EXPECT(setsockopt(fd, IPPROTO_IPV6, options[n].name, &options[n].value, sizeof(int)) == 0);
		EXPECT(getsockopt(fd, IPPROTO_IPV6, options[n].name, &got, &length) == 0);
		EXPECT(got == options[n].value);
	}
	echo(fd, 1000);
	watch("tcp dport 6001 ip6 dscp 0x12 ip6 hoplimit 33");
	echo(fd, 100000);
	EXPECT(watched() > 10);
	watch_no_more();
	close(fd);
}

const struct row family_rows[] = {
	{"TCP_MP_ADDRESSES of IPv6", addresses},
	{"TCP_MP_ADD_SUBFLOW of IPv6 beside IPv4", add_mixed},
	{"AF_MULTIPATH of both families", multipath_mixed},
	{"L11 IPV6_TCLASS and IPV6_UNICAST_HOPS", marks},
	{NULL, NULL},
};
