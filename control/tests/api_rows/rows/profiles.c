/* What the profiles do (6.1), and the schedulers that come with nothing else to tell them by. */
#include "rows.h"

static int with_profile(int profile, int port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(set_int(fd, TCP_MP_PROFILE, profile) == 0);
	EXPECT(connect_to(fd, PEER_FIRST, port) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	return fd;
}

/* One established backup, which carries nothing while the first one works. */
static void standby(void)
{
	int fd = with_profile(TCP_MP_PROFILE_STANDBY, MULTIPATH_PORT);
	echo(fd, 10000);
	wait_for_subflows(fd, 2);
	struct listed now;
	EXPECT(list(fd, &now) == 0);
	EXPECT(!(now.entries[0].flags & TCP_MP_SUBFLOW_BACKUP));
	EXPECT(now.entries[1].flags & TCP_MP_SUBFLOW_BACKUP);
	uint64_t before = now.entries[1].bytes_sent;
	echo(fd, 500000);
	EXPECT(list(fd, &now) == 0 && now.entries[1].bytes_sent == before);
	close(fd);
}

/* The second subflow is opened when the first one is full. */
static void overflow(void)
{
	static char bytes[1 << 20];
	int fd = with_profile(TCP_MP_PROFILE_LATENCY, DISCARD_PORT);
	for (int n = 0; n < 50; n++) {
		EXPECT(send(fd, bytes, 100, 0) == 100);
		usleep(4000);
	}
	wait_for_subflows(fd, 1);
	for (int n = 0; n < 40; n++)
		EXPECT(send(fd, bytes, sizeof bytes, 0) == sizeof bytes);
	wait_for_subflows(fd, 2);
	close(fd);
}

/* Bytes that each of two subflows carried while 400,000 went round. */
static void carried(int fd, const char *scheduler, uint64_t bytes[2])
{
	struct listed before, after;
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_SCHEDULER, scheduler, strlen(scheduler)) == 0);
	echo(fd, 20000);
	EXPECT(list(fd, &before) == 0);
	echo(fd, 400000);
	EXPECT(list(fd, &after) == 0);
	for (unsigned n = 0; n < 2; n++)
		bytes[n] = after.entries[n].bytes_sent - before.entries[n].bytes_sent;
}

/* A live connection changes its scheduler: as a client, and as the side that accepted. */
static void schedulers(void)
{
	char said[4096];
	int port, listening = listener("0.0.0.0", &port);
	for (int side = 0; side < 2; side++) {
		int fd;
		if (side) {
			/* The peer joins at the address that it is told. */
			EXPECT(braid(said, sizeof said, "endpoint del 1") == 0);
			EXPECT(braid(said, sizeof said, "endpoint add 10.1.2.2 signal --id 1") == 0);
			fd = accepted(listening, port);
		} else {
			fd = connected(MULTIPATH_PORT);
		}
		wait_for_subflows(fd, 2);
		uint64_t bytes[2];
		int both = 0;
		for (int attempt = 0; attempt < ATTEMPTS && !both; attempt++) {
			carried(fd, "redundant", bytes);
			both = bytes[0] >= 350000 && bytes[1] >= 350000;
		}
		EXPECT(both);
		carried(fd, "roundrobin", bytes);
		EXPECT(bytes[0] >= 100000 && bytes[1] >= 100000 && bytes[0] + bytes[1] < 600000);
		/* One only, which is the preferred one; round trips this short would have it move else. */
		struct listed now;
		EXPECT(list(fd, &now) == 0);
		struct tcp_mp_priority first = {now.entries[0].id, TCP_MP_PRIORITY_PREFERRED};
		EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_PRIORITY, &first, sizeof first) == 0);
		carried(fd, "primary", bytes);
		EXPECT(bytes[0] >= 400000 && bytes[1] == 0);
		carried(fd, "overflow", bytes);
		EXPECT(bytes[0] >= 300000 && bytes[1] < 100000);
		close(fd);
	}
	EXPECT(braid(said, sizeof said, "endpoint del 1") == 0);
	EXPECT(braid(said, sizeof said, "endpoint add 10.1.2.2 subflow --id 1") == 0);
	close(listening);
}

const struct row profile_rows[] = {
	{"TCP_MP_PROFILE with hot standby", standby},
	{"TCP_MP_PROFILE with overflow", overflow},
	{"TCP_MP_SCHEDULER from either side", schedulers},
	{NULL, NULL},
};
