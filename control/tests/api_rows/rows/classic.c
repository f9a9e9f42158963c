/* The options that exist, by what they do: row L11, and TCP_NODELAY of L6. */
#include "rows.h"

#include <sys/time.h>
#include <time.h>

static long milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sets an option of a connection, and reads the very same. */
static void keeps(int fd, int level, int name, const void *value, socklen_t size)
{
	char got[64];
	socklen_t length = sizeof got;
	EXPECT(setsockopt(fd, level, name, value, size) == 0);
	EXPECT(getsockopt(fd, level, name, got, &length) == 0);
	EXPECT(length == size && !memcmp(got, value, size));
}

static int rank(int fd, uint32_t id, uint32_t priority)
{
	struct tcp_mp_priority to = {id, priority};
	return setsockopt(fd, IPPROTO_TCP, TCP_MP_PRIORITY, &to, sizeof to);
}

/*
 * Whether the second of two small writes goes out before the first is acknowledged: the peer
 * is made mute meanwhile. The writes differ in size, so that nothing else is taken for the second.
 */
static int goes_out_at_once(int fd)
{
	char bytes[200] = {0};
	watch("tcp dport 6001 ip length 241-340");
	EXPECT(there("nft add table inet mute && "
		     "nft \"add chain inet mute out { type filter hook output priority 0; }\" && "
		     "nft add rule inet mute out tcp sport 6001 drop") == 0);
	EXPECT(send(fd, bytes, 100, 0) == 100);
	/* So that the two are not taken together. */
	usleep(20000);
	EXPECT(send(fd, bytes, 200, 0) == 200);
	usleep(80000);
	long seen = watched();
	EXPECT(there("nft delete table inet mute") == 0);
	watch_no_more();
	EXPECT(recv(fd, bytes, 200, MSG_WAITALL) == 200);
	EXPECT(recv(fd, bytes, 100, MSG_WAITALL) == 100);
	return seen > 0;
}

static void nodelay(void)
{
	int fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	struct listed now;
	EXPECT(list(fd, &now) == 0);
	for (unsigned n = 0; n < 2; n++) {
		EXPECT(rank(fd, now.entries[n].id, TCP_MP_PRIORITY_NORMAL) == 0);
		EXPECT(rank(fd, now.entries[1 - n].id, TCP_MP_PRIORITY_BACKUP) == 0);
		EXPECT(set_int(fd, TCP_NODELAY, 0) == 0);
		echo(fd, 1000);
		EXPECT(!goes_out_at_once(fd));
		EXPECT(set_int(fd, TCP_NODELAY, 1) == 0);
		echo(fd, 1000);
		int at_once = 0;
		for (int attempt = 0; attempt < ATTEMPTS && !at_once; attempt++)
			at_once = goes_out_at_once(fd);
		EXPECT(at_once);
	}
	close(fd);
}

/* Holds back what is no full segment, until it is taken off. */
static void cork(void)
{
	int fd = connected(MULTIPATH_PORT), on = 1;
	char bytes[20];
	EXPECT(set_int(fd, TCP_NODELAY, 1) == 0);
	keeps(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
	EXPECT(send(fd, "corked", 6, 0) == 6);
	EXPECT(!readable(fd, 80));
	EXPECT(set_int(fd, TCP_CORK, 0) == 0 && get_int(fd, TCP_CORK) == 0);
	EXPECT(recv(fd, bytes, 6, MSG_WAITALL) == 6 && !memcmp(bytes, "corked", 6));
	close(fd);
}

/* Type of service and time to live, as they arrive over both links. */
static void marks(void)
{
	int fd = connected(MULTIPATH_PORT), tos = 0x48, ttl = 33;
	wait_for_subflows(fd, 2);
	keeps(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
	keeps(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_SCHEDULER, "roundrobin", 10) == 0);
	echo(fd, 1000);
	for (int link = 1; link <= 2; link++) {
		char expression[80];
		snprintf(expression, sizeof expression, "iifname link%d ip dscp 0x12 ip ttl 33", link);
		watch(expression);
		echo(fd, 100000);
		EXPECT(watched() > 10);
		watch_no_more();
		/* And none without them, of what bears data. */
		snprintf(expression, sizeof expression,
			 "iifname link%d tcp dport 6001 ip ttl != 33", link);
		watch(expression);
		echo(fd, 100000);
		EXPECT(watched() == 0);
		watch_no_more();
	}
	close(fd);
}

/* SO_LINGER with no time: the connection is cut off, and the peer told. */
static void linger(void)
{
	struct linger none = {1, 0}, some = {1, 5};
	int fd = connected(MULTIPATH_PORT);
	keeps(fd, SOL_SOCKET, SO_LINGER, &some, sizeof some);
	keeps(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	long before = counted_there("MPFastcloseRx");
	close(fd);
	for (int tries = 0; tries < 50 && counted_there("MPFastcloseRx") == before; tries++)
		usleep(10000);
	EXPECT(counted_there("MPFastcloseRx") > before);
	/* In order without it. */
	usleep(100000);
	before = counted_there("MPFastcloseRx");
	close(connected(MULTIPATH_PORT));
	usleep(100000);
	EXPECT(counted_there("MPFastcloseRx") == before);
}

static void low_water(void)
{
	int fd = connected(MULTIPATH_PORT), least = 1000;
	char bytes[1000] = {0};
	keeps(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
	EXPECT(send(fd, bytes, 500, 0) == 500);
	EXPECT(!readable(fd, 100));
	EXPECT(send(fd, bytes, 500, 0) == 500);
	EXPECT(readable(fd, 5000));
	EXPECT(recv(fd, bytes, sizeof bytes, 0) == sizeof bytes);
	close(fd);
}

static void timeouts(void)
{
	static char bytes[1 << 20];
	struct timeval time = {0, 200000};
	int fd = connected(MULTIPATH_PORT);
	keeps(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
	keeps(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
	long start = milliseconds();
	EXPECT_ERROR(recv(fd, bytes, 1, 0), EAGAIN);
	EXPECT(milliseconds() - start >= 190 && milliseconds() - start < 3000);
	/* Nobody reads what comes back, so that in the end nothing more goes out. */
	ssize_t sent = 1;
	for (int tries = 0; tries < 1000 && sent > 0; tries++) {
		start = milliseconds();
		errno = 0;
		sent = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
	}
	EXPECT(sent == -1 && errno == EAGAIN);
	EXPECT(milliseconds() - start >= 190 && milliseconds() - start < 3000);
	close(fd);
}

const struct row classic_rows[] = {
	{"L6 TCP_NODELAY on every subflow", nodelay},
	{"L11 TCP_CORK", cork},
	{"L11 IP_TOS and IP_TTL", marks},
	{"L11 SO_LINGER", linger},
	{"L11 SO_RCVLOWAT", low_water},
	{"L11 SO_RCVTIMEO and SO_SNDTIMEO", timeouts},
	{NULL, NULL},
};
