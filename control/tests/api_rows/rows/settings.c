/*
 * What can be set and read at any time: TCP_MP_ENABLE, _PROFILE, _MAX_SUBFLOWS, _SCHEDULER,
 * _PATH_MANAGER, _REDUNDANCY and RFC 6897's TCP_MULTIPATH_ENABLE.
 */
#include "rows.h"

union value {
	int number;
	char name[16];
	struct tcp_mp_path_manager manager;
};

/* An option, two values of it, and one that is none. */
struct setting {
	int name;
	socklen_t length;
	union value first, second, wrong;
};

static void expect(int fd, const struct setting *of, const union value *value)
{
	union value got;
	socklen_t length = of->length;
	memset(&got, 0xee, sizeof got);
	EXPECT(getsockopt(fd, IPPROTO_TCP, of->name, &got, &length) == 0);
	EXPECT(length == of->length && !memcmp(&got, value, length));
}

static int set(int fd, const struct setting *of, const union value *value)
{
	return setsockopt(fd, IPPROTO_TCP, of->name, value, of->length);
}

/* Whatever is wrong changes nothing. */
static void refuses(int fd, const struct setting *of, const union value *now)
{
	char long_value[40] = {0};
	memcpy(long_value, now, of->length);
	EXPECT_ERROR(set(fd, of, &of->wrong), EINVAL);
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, of->name, now, 0), EINVAL);
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, of->name, long_value, of->length + 4), EINVAL);
	if (of->length != sizeof now->name) {
		EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, of->name, now, of->length - 1), EINVAL);
		union value got;
		socklen_t short_length = of->length - 1;
		EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, of->name, &got, &short_length), EINVAL);
	}
	expect(fd, of, now);
}

static void works(const struct setting *of)
{
	/* Before connect, and what was set then goes with it. */
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(set(fd, of, &of->first) == 0);
	expect(fd, of, &of->first);
	refuses(fd, of, &of->first);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 10000);
	expect(fd, of, &of->first);

	/* While data flows. */
	struct flow flow;
	start_flow(&flow, fd);
	EXPECT(set(fd, of, &of->second) == 0);
	expect(fd, of, &of->second);
	flows_on(&flow);
	refuses(fd, of, &of->second);
	EXPECT(set(fd, of, &of->first) == 0);
	flows_on(&flow);
	expect(fd, of, &of->first);
	end_flow(&flow);

	/* After its end, and after close. */
	close(fd);
	EXPECT_ERROR(set(fd, of, &of->first), EBADF);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(set(fd, of, &of->first) == 0);
	have_reset(fd);
	EXPECT_ERROR(set(fd, of, &of->second), EINVAL);
	/* What it had can still be read. */
	expect(fd, of, &of->first);
	close(fd);

	/* On a listener, before listen and after, for the connections it takes. */
	int port;
	int listening = listener("0.0.0.0", &port);
	EXPECT(set(listening, of, &of->second) == 0);
	expect(listening, of, &of->second);
	refuses(listening, of, &of->second);
	fd = accepted(listening, port);
	expect(fd, of, &of->second);
	EXPECT(set(fd, of, &of->first) == 0);
	expect(fd, of, &of->first);
	expect(listening, of, &of->second);
	echo(fd, 10000);
	close(fd);
	close(listening);
}

static void profile(void)
{
	static const struct setting of = {TCP_MP_PROFILE, sizeof(int), {.number = 2}, {.number = 3}, {.number = 4}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(get_int(fd, TCP_MP_PROFILE) == TCP_MP_PROFILE_BULK);
	close(fd);
	works(&of);
}

static void max_subflows(void)
{
	static const struct setting of = {TCP_MP_MAX_SUBFLOWS, sizeof(int), {.number = 1}, {.number = 5}, {.number = 0}};
	works(&of);
	int fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	EXPECT(set_int(fd, TCP_MP_MAX_SUBFLOWS, 1) == 0);
	wait_for_subflows(fd, 1);
	echo(fd, 10000);
	EXPECT_ERROR(set_int(fd, TCP_MP_MAX_SUBFLOWS, 33), EINVAL);
	EXPECT_ERROR(set_int(fd, TCP_MP_MAX_SUBFLOWS, -1), EINVAL);
	close(fd);
}

static void scheduler(void)
{
	static const struct setting of = {TCP_MP_SCHEDULER, 16, {.name = "blest"}, {.name = "roundrobin"}, {.name = "fastest"}};
	works(&of);
	static const char *const names[] = {"minrtt", "blest", "ecf", "roundrobin", "redundant", "overflow", "primary"};
	int fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	for (unsigned n = 0; n < sizeof names / sizeof *names; n++) {
		char got[16];
		socklen_t length = sizeof got;
		/* As TCP_CONGESTION takes names: with their zero or without. */
		EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_SCHEDULER, names[n], strlen(names[n]) + n % 2) == 0);
		EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_MP_SCHEDULER, got, &length) == 0);
		EXPECT(!strcmp(got, names[n]));
		echo(fd, 50000);
	}
	close(fd);
}

static void path_manager(void)
{
	static const struct setting of = {
		TCP_MP_PATH_MANAGER, sizeof(struct tcp_mp_path_manager),
		{.manager = {"ondemand", 1 << 20}}, {.manager = {"fullmesh", 0}}, {.manager = {"sometimes", 0}}};
	works(&of);
	/* On demand: nothing until so many bytes went. */
	struct tcp_mp_path_manager after = {"ondemand", 200000};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_PATH_MANAGER, &after, sizeof after) == 0);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 20000);
	usleep(200000);
	wait_for_subflows(fd, 1);
	echo(fd, 300000);
	wait_for_subflows(fd, 2);
	close(fd);
}

static void redundancy(void)
{
	static const struct setting of = {TCP_MP_REDUNDANCY, sizeof(int), {.number = 2}, {.number = 1}, {.number = 33}};
	works(&of);
	int fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	EXPECT(set_int(fd, TCP_MP_REDUNDANCY, 2) == 0);
	int both = 0;
	for (int attempt = 0; attempt < ATTEMPTS && !both; attempt++) {
		struct listed before, after;
		EXPECT(list(fd, &before) == 0);
		echo(fd, 200000);
		EXPECT(list(fd, &after) == 0);
		both = 1;
		for (unsigned n = 0; n < 2; n++)
			both &= after.entries[n].bytes_sent - before.entries[n].bytes_sent >= 150000;
	}
	EXPECT(both);
	close(fd);
}

/* Asked for, forbidden, and what came of it. */
static void enable(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(get_int(fd, TCP_MP_ENABLE) == 1);
	EXPECT_ERROR(set_int(fd, TCP_MP_ENABLE, 2), EINVAL);
	EXPECT_ERROR(set_int(fd, TCP_MP_ENABLE, -1), EINVAL);
	short half = 1;
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_ENABLE, &half, sizeof half), EINVAL);
	EXPECT(set_int(fd, TCP_MP_ENABLE, 0) == 0 && get_int(fd, TCP_MP_ENABLE) == 0);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 1000);
	EXPECT(get_int(fd, TCP_MP_ENABLE) == 0 && get_int(fd, TCP_IS_MPTCP) == 0);
	EXPECT_ERROR(set_int(fd, TCP_MP_ENABLE, 1), EISCONN);
	close(fd);
	EXPECT_ERROR(set_int(fd, TCP_MP_ENABLE, 1), EBADF);

	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(set_int(fd, TCP_MP_ENABLE, 1) == 0);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 1000);
	struct flow flow;
	start_flow(&flow, fd);
	EXPECT(get_int(fd, TCP_MP_ENABLE) == 1 && get_int(fd, TCP_IS_MPTCP) == 1);
	EXPECT_ERROR(set_int(fd, TCP_MP_ENABLE, 0), EISCONN);
	end_flow(&flow);
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	EXPECT_ERROR(getpeername(fd, (struct sockaddr *)&name, &length), EMULTIPATH);
	EXPECT_ERROR(getsockname(fd, (struct sockaddr *)&name, &length), EMULTIPATH);
	close(fd);

	/* A listener hands on what it was told, and is told before it listens. */
	int port;
	int listening = listener("0.0.0.0", &port);
	EXPECT_ERROR(set_int(listening, TCP_MP_ENABLE, 1), EINVAL);
	close(listening);
}

/* RFC 6897: aware, and its addresses are those of the first subflow. */
static void rfc_enable(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT_ERROR(set_int(fd, TCP_MULTIPATH_ENABLE, -1), EINVAL);
	EXPECT(set_int(fd, TCP_MULTIPATH_ENABLE, 1) == 0);
	EXPECT(get_int(fd, TCP_MULTIPATH_ENABLE) == 1);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 1000);
	EXPECT(get_int(fd, TCP_MULTIPATH_ENABLE) == 1);
	struct sockaddr_in name, peer = at(PEER_FIRST, MULTIPATH_PORT);
	socklen_t length = sizeof name;
	EXPECT(getpeername(fd, (struct sockaddr *)&name, &length) == 0);
	EXPECT(name.sin_addr.s_addr == peer.sin_addr.s_addr && name.sin_port == peer.sin_port);
	EXPECT_ERROR(set_int(fd, TCP_MULTIPATH_ENABLE, 1), EISCONN);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(set_int(fd, TCP_MULTIPATH_ENABLE, 0) == 0);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 1000);
	EXPECT(get_int(fd, TCP_MULTIPATH_ENABLE) == 0);
	close(fd);
}

static void unknown(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), value = 1;
	socklen_t length = sizeof value;
	EXPECT(set_int(fd, TCP_MP_PROFILE, 1) == 0);
	for (int after = 0; after < 2; after++) {
		EXPECT_ERROR(set_int(fd, 1013, 1), ENOPROTOOPT);
		EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, 1013, &value, &length), ENOPROTOOPT);
		EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, 1030, &value, sizeof value), ENOPROTOOPT);
		if (!after)
			EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	}
	EXPECT_ERROR(setsockopt(fd, SOL_MPTCP, 77, &value, sizeof value), ENOPROTOOPT);
	close(fd);
}

const struct row setting_rows[] = {
	{"TCP_MP_ENABLE", enable},
	{"TCP_MULTIPATH_ENABLE", rfc_enable},
	{"TCP_MP_PROFILE", profile},
	{"TCP_MP_MAX_SUBFLOWS", max_subflows},
	{"TCP_MP_SCHEDULER", scheduler},
	{"TCP_MP_PATH_MANAGER", path_manager},
	{"TCP_MP_REDUNDANCY", redundancy},
	{"an unknown option", unknown},
	{NULL, NULL},
};
