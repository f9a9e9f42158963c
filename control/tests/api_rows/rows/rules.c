/* Row L1 by rules for a program, the same after they were read again, and row L10 on a host with HIP. */
#include "rows.h"

static int controller_is(int fd, const char *name)
{
	char got[16];
	socklen_t length = sizeof got;
	return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, got, &length) == 0 && !strcmp(got, name);
}

static int insists(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(set_int(fd, TCP_MULTIPATH_ENABLE, 1) == 0);
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0 && send(fd, "e", 1, 0) == 1);
	echo(fd, 1000);
	return fd;
}

static int starts_as(int enabled, const char *controller)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(get_int(fd, TCP_MULTIPATH_ENABLE) == enabled && controller_is(fd, controller));
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0 && send(fd, "e", 1, 0) == 1);
	echo(fd, 1000);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == enabled && controller_is(fd, controller));
	return fd;
}

/* This program is kept to regular TCP; one that insists has its way. */
static void of_program(void)
{
	long asked = counted_there("MPCapableSYNRX");
	close(starts_as(0, "lia"));
	EXPECT(counted_there("MPCapableSYNRX") == asked);
	int fd = insists();
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 1);
	EXPECT(counted_there("MPCapableSYNRX") == asked + 1);
	close(fd);
}

static void read_again(void)
{
	close(starts_as(1, "olia"));
}

/* `braid set` changes the defaults of connections to come, and no other. */
static void set_at_run_time(void)
{
	char said[1000];
	int before = starts_as(1, "olia");
	EXPECT(braid(said, sizeof said, "set --controller balia --profile latency-standby --scheduler redundant") == 0);
	EXPECT(controller_is(before, "olia") && get_int(before, TCP_MP_PROFILE) == TCP_MP_PROFILE_BULK);
	int fd = starts_as(1, "balia");
	char got[16];
	socklen_t length = sizeof got;
	EXPECT(get_int(fd, TCP_MP_PROFILE) == TCP_MP_PROFILE_STANDBY);
	EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_MP_SCHEDULER, got, &length) == 0 && !strcmp(got, "redundant"));
	close(before);
	close(fd);
}

/* Even what insists is regular TCP, and the peer is not asked. */
static void exclusive(void)
{
	long asked = counted_there("MPCapableSYNRX");
	int fd = insists();
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 0);
	EXPECT(counted_there("MPCapableSYNRX") == asked);
	close(fd);
}

const struct row rule_rows[] = {
	{"L1 a rule for a program", of_program},
	{NULL, NULL},
};

const struct row reloaded_rows[] = {
	{"L1 the configuration read again", read_again},
	{"L1 defaults by braid set", set_at_run_time},
	{NULL, NULL},
};

const struct row exclusive_rows[] = {
	{"L10 a host with HIP", exclusive},
	{NULL, NULL},
};
