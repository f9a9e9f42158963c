/* Which paths a program that says little gets: rows L2, L8 and L9, as the peer sees them. */
#include "rows.h"

/* A socket that is bound to the first address, or to the first interface. */
static int bound(int to_interface)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in name = at(OUR_FIRST, 0);
	if (to_interface)
		EXPECT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "link1", 5) == 0);
	else
		EXPECT(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
	return fd;
}

static void starts(int fd)
{
	EXPECT(connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 100000);
}

/* With an address to announce, a bound socket announces none, and nobody joins. */
static void announces_nothing(void)
{
	char said[4096];
	EXPECT(braid(said, sizeof said, "endpoint del 1") == 0);
	EXPECT(braid(said, sizeof said, "endpoint add 10.1.2.2 subflow signal --id 1") == 0);
	for (int kind = 0; kind < 2; kind++) {
		int fd = bound(kind);
		long announced = counted_there("AddAddr"), joined = counted_there("MPJoinSynRx");
		starts(fd);
		usleep(300000);
		echo(fd, 1000);
		EXPECT(counted_there("AddAddr") == announced && counted_there("MPJoinSynRx") == joined);
		close(fd);
	}
	/* As one that is bound to nothing does. */
	long announced = counted_there("AddAddr");
	int fd = connected(MULTIPATH_PORT);
	for (int tries = 0; tries < 200 && counted_there("AddAddr") == announced; tries++)
		usleep(10000);
	EXPECT(counted_there("AddAddr") > announced);
	close(fd);
	EXPECT(braid(said, sizeof said, "endpoint del 1") == 0);
	EXPECT(braid(said, sizeof said, "endpoint add 10.1.2.2 subflow --id 1") == 0);
}

static int manage(int fd, const char *name)
{
	struct tcp_mp_path_manager manager = {0};
	strcpy(manager.name, name);
	return setsockopt(fd, IPPROTO_TCP, TCP_MP_PATH_MANAGER, &manager, sizeof manager);
}

/* What a path manager opens and announces, also when it comes to a live connection. */
static void managers(void)
{
	/* One announces and leaves joining to the peer, the other joins itself. */
	static const struct { const char *name, *endpoint; int announces; } kinds[] = {
		{"signal", "endpoint add 10.1.2.2 subflow signal --id 1", 1},
		{"fullmesh", "endpoint add 10.1.2.2 subflow --id 1", 0},
	};
	char said[4096];
	for (unsigned n = 0; n < 2; n++) {
		EXPECT(braid(said, sizeof said, "endpoint del 1") == 0);
		EXPECT(braid(said, sizeof said, kinds[n].endpoint) == 0);
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		EXPECT(manage(fd, "manual") == 0);
		long announced = counted_there("AddAddr"), joined = counted_there("MPJoinSynRx");
		starts(fd);
		usleep(200000);
		echo(fd, 1000);
		EXPECT(counted_there("AddAddr") == announced && counted_there("MPJoinSynRx") == joined);
		EXPECT(manage(fd, kinds[n].name) == 0);
		wait_for_subflows(fd, 2);
		EXPECT((counted_there("AddAddr") > announced) == kinds[n].announces);
		EXPECT((counted_there("MPJoinSynRx") > joined) == !kinds[n].announces);
		close(fd);
	}
}

/* How often a connection fell back for this reason, by `braid stats`. */
static long fell_back(const char *counter)
{
	static char said[32768];
	if (braid(said, sizeof said, "stats"))
		return -1;
	const char *line = strstr(said, counter);
	return line ? atol(line + strlen(counter)) : 0;
}

static int shows(const char *text)
{
	static char said[32768];
	return braid(said, sizeof said, "show connections --json") == 0 && strstr(said, text) != NULL;
}

/* A middlebox that takes option 30 out of every segment, from the SYN on or from later on. */
static void strip(int on)
{
	if (!on)
		EXPECT(there("nft delete table inet strip") == 0);
	else
		EXPECT(there("nft add table inet strip && "
			     "nft \"add chain inet strip in { type filter hook prerouting priority -300; }\" && "
			     "nft \"add chain inet strip out { type filter hook postrouting priority 300; }\" && "
			     "nft add rule inet strip in reset tcp option mptcp && "
			     "nft add rule inet strip out reset tcp option mptcp") == 0);
}

static void middlebox(void)
{
	long before = fell_back("MPTcpExtFallbackPeerNotCapable");
	strip(1);
	int fd = connected(MULTIPATH_PORT);
	echo(fd, 200000);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 0 && get_int(fd, TCP_MP_ENABLE) == 0);
	EXPECT(shows("\"peer-not-capable\""));
	EXPECT(fell_back("MPTcpExtFallbackPeerNotCapable") == before + 1);
	close(fd);
	strip(0);
	fd = connected(MULTIPATH_PORT);
	EXPECT(get_int(fd, TCP_IS_MPTCP) == 1);
	close(fd);
}

static int link_one(const char *state)
{
	char command[100];
	snprintf(command, sizeof command, "unset LD_PRELOAD; ip link set dev link1 %s", state);
	return system(command);
}

/* What a failed link carried goes over the other one, with every byte. */
static void moves(void)
{
	int fd = connected(MULTIPATH_PORT);
	wait_for_subflows(fd, 2);
	struct flow flow;
	start_flow(&flow, fd);
	EXPECT(link_one("down") == 0);
	usleep(100000);
	watch("iifname link2 tcp dport 6001");
	flows_on(&flow);
	flows_on(&flow);
	EXPECT(watched() > 10);
	watch_no_more();
	EXPECT(link_one("up") == 0);
	end_flow(&flow);
	close(fd);
}

/* Unless the program asked for that very interface. */
static void stays(void)
{
	char bytes[1000] = {0};
	/* What connections before it have to say at their end goes by any link. */
	for (int tries = 0; shows("\"id\"") && tries < 1000; tries++)
		usleep(10000);
	int fd = bound(1);
	starts(fd);
	EXPECT(link_one("down") == 0);
	watch("iifname link2 tcp dport 6001");
	EXPECT(send(fd, bytes, sizeof bytes, 0) == sizeof bytes);
	EXPECT(!readable(fd, 1500));
	EXPECT(watched() == 0);
	watch_no_more();
	EXPECT(link_one("up") == 0);
	EXPECT(recv(fd, bytes, sizeof bytes, MSG_WAITALL) == sizeof bytes);
	close(fd);
}

const struct row path_rows[] = {
	{"L2 a bound socket announces nothing", announces_nothing},
	{"TCP_MP_PATH_MANAGER on a live connection", managers},
	{"L8 fallback past a middlebox", middlebox},
	{"L9 a failed link's traffic moves", moves},
	{"L9 a request for an interface is kept to", stays},
	{NULL, NULL},
};
