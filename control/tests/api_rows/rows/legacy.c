/* Programs that set none of the options: rows L1 to L11 of the table. */
#include "rows.h"

static int starts(int fd)
{
	return connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0 && send(fd, "e", 1, 0) == 1;
}

static void default_enable(void)
{
	int fd = connected(MULTIPATH_PORT);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 1);
	close(fd);
}

/* Stays at that address, on that interface. */
static void stays_alone(int fd)
{
	EXPECT(starts(fd));
	echo(fd, 100000);
	usleep(400000);
	wait_for_subflows(fd, 1);
	echo(fd, 1000);
	close(fd);
}

static void specific_bind(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in name = at(OUR_FIRST, 0);
	EXPECT(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
	stays_alone(fd);
	int port, listening = listener(OUR_FIRST, &port);
	fd = accepted(listening, port);
	usleep(400000);
	wait_for_subflows(fd, 1);
	close(fd);
	close(listening);
}

static void device(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char got[16];
	socklen_t length = sizeof got;
	EXPECT(set_int(fd, TCP_MP_PROFILE, 1) == 0);
	EXPECT_ERROR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth77", 5), ENODEV);
	EXPECT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "link1", 5) == 0);
	EXPECT(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, got, &length) == 0 && !strcmp(got, "link1"));
	stays_alone(fd);
}

static void any_bind(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in name = at("0.0.0.0", 0);
	EXPECT(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
	EXPECT(starts(fd));
	echo(fd, 1000);
	wait_for_subflows(fd, 2);
	close(fd);
}

/* The addresses of the first subflow, also when it is gone; and what it carried is not lost. */
static void first_subflow(void)
{
	struct sockaddr_in local, peer, later;
	socklen_t length = sizeof local;
	static char out[200000], in[sizeof out];
	int fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	EXPECT(getsockname(fd, (struct sockaddr *)&local, &length) == 0);
	EXPECT(getpeername(fd, (struct sockaddr *)&peer, &length) == 0);
	EXPECT(local.sin_addr.s_addr == at(OUR_FIRST, 0).sin_addr.s_addr);
	EXPECT(peer.sin_addr.s_addr == at(PEER_FIRST, 0).sin_addr.s_addr);
	for (size_t n = 0; n < sizeof out; n++)
		out[n] = (char)(n * 31 + n / 1000);
	EXPECT(send(fd, out, sizeof out, 0) == sizeof out);
	uint32_t first = 0;
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_REMOVE_SUBFLOW, &first, sizeof first) == 0);
	for (size_t done = 0; done < sizeof in;) {
		ssize_t some = recv(fd, in + done, sizeof in - done, 0);
		EXPECT(some > 0);
		if (some <= 0)
			break;
		done += some;
	}
	EXPECT(!memcmp(in, out, sizeof out));
	wait_for_subflows(fd, 1);
	EXPECT(getsockname(fd, (struct sockaddr *)&later, &length) == 0 && !memcmp(&later, &local, length));
	EXPECT(getpeername(fd, (struct sockaddr *)&later, &length) == 0 && !memcmp(&later, &peer, length));
	/* No fate sharing: off by default. */
	echo(fd, 100000);
	close(fd);
}

/* Applies to all subflows; the profile stays what it was, unless policy says otherwise. */
static void nodelay(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(set_int(fd, TCP_NODELAY, 1) == 0 && get_int(fd, TCP_NODELAY) == 1);
	EXPECT(starts(fd));
	echo(fd, 1000);
	EXPECT(get_int(fd, TCP_NODELAY) == 1 && get_int(fd, TCP_MP_PROFILE) == TCP_MP_PROFILE_BULK);
	EXPECT(set_int(fd, TCP_NODELAY, 0) == 0 && get_int(fd, TCP_NODELAY) == 0);
	close(fd);
}

static int buffer(int fd, int name)
{
	int bytes = -1;
	socklen_t length = sizeof bytes;
	return getsockopt(fd, SOL_SOCKET, name, &bytes, &length) ? -1 : bytes;
}

/* Buffers size the connection; below the bound of the policy they are raised to it. */
static void buffers(void)
{
	int small = 8192, large = 1 << 20;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
	EXPECT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
	EXPECT(starts(fd));
	echo(fd, 100000);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 1);
	EXPECT(buffer(fd, SO_SNDBUF) == 64 << 10 && buffer(fd, SO_RCVBUF) == 64 << 10);
	EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large) == 0);
	EXPECT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large) == 0);
	EXPECT(buffer(fd, SO_SNDBUF) == 2 << 20 && buffer(fd, SO_RCVBUF) == 2 << 20);
	echo(fd, 100000);
	close(fd);
}

/* A peer without Multipath TCP: bytes go as with regular TCP, and it can be read that they do. */
static void fallback(void)
{
	int fd = connected(PLAIN_PORT);
	echo(fd, 200000);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 0 && get_int(fd, TCP_MULTIPATH_ENABLE) == 0);
	uint32_t id;
	socklen_t length = sizeof id;
	EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MP_CONNID, &id, &length), EOPNOTSUPP);
	close(fd);
}

/* Those that exist apply to the connection: set on it, and given back. */
static void existing(void)
{
	static const struct { int level, name, value; } options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 100},
		{IPPROTO_TCP, TCP_KEEPINTVL, 7}, {IPPROTO_TCP, TCP_KEEPCNT, 3},
		{IPPROTO_TCP, TCP_CORK, 0}, {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
		{IPPROTO_IP, IP_TOS, 0x48}, {IPPROTO_IP, IP_TTL, 33},
		{SOL_SOCKET, SO_REUSEADDR, 1}, {IPPROTO_TCP, TCP_QUICKACK, 1},
	};
	int fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	for (unsigned n = 0; n < sizeof options / sizeof *options; n++) {
		int got = -1;
		socklen_t length = sizeof got;
		EXPECT(setsockopt(fd, options[n].level, options[n].name, &options[n].value, sizeof(int)) == 0);
		EXPECT(getsockopt(fd, options[n].level, options[n].name, &got, &length) == 0);
		EXPECT(got == options[n].value);
	}
	static const char *const controllers[] = {"reno", "cubic", "lia", "olia", "balia"};
	for (unsigned n = 0; n < sizeof controllers / sizeof *controllers; n++) {
		char got[16];
		socklen_t length = sizeof got;
		EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, controllers[n], strlen(controllers[n])) == 0);
		EXPECT(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, got, &length) == 0);
		EXPECT(!strcmp(got, controllers[n]));
		echo(fd, 50000);
	}
	EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "none", 4), ENOENT);
	close(fd);
}

const struct row legacy_rows[] = {
	{"L1 default_enable", default_enable},
	{"L2 bind to an address", specific_bind},
	{"L2 SO_BINDTODEVICE", device},
	{"L3 bind to INADDR_ANY", any_bind},
	{"L4, L5, L9 the first subflow", first_subflow},
	{"L6 TCP_NODELAY", nodelay},
	{"L7 SO_SNDBUF and SO_RCVBUF", buffers},
	{"L8 fallback", fallback},
	{"L11 existing options, TCP_CONGESTION", existing},
	{NULL, NULL},
};
