/*
 * Which local addresses a connection uses: TCP_MP_ADDRESSES, RFC 6897's TCP_MULTIPATH_ADD and
 * TCP_MULTIPATH_REMOVE, and sockets of AF_MULTIPATH.
 */
#include "rows.h"

static int name_addresses(int fd, int name, const char *first, const char *second)
{
	struct sockaddr_storage both[2];
	unsigned count = 0;
	if (first)
		both[count++] = storage(first, 0);
	if (second)
		both[count++] = storage(second, 0);
	return setsockopt(fd, IPPROTO_TCP, name, both, count * sizeof *both);
}

/* Whether these are the addresses that the connection may use. */
static int uses(int fd, const char *first, const char *second)
{
	struct sockaddr_storage got[4];
	const char *const wanted[2] = {first, second};
	unsigned count = (first != NULL) + (second != NULL);
	socklen_t length = sizeof got;
	if (getsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, got, &length) || length != count * sizeof *got)
		return 0;
	for (unsigned n = 0; n < count; n++) {
		struct sockaddr_storage one = storage(wanted[n], 0);
		if (memcmp(&one, &got[n], sizeof one))
			return 0;
	}
	return 1;
}

static int starts_with(int fd)
{
	return connect_to(fd, PEER_FIRST, MULTIPATH_PORT) == 0 && send(fd, "e", 1, 0) == 1;
}

static void only(int fd, const char *address)
{
	struct listed now;
	wait_for_subflows(fd, 1);
	EXPECT(list(fd, &now) == 0);
	struct sockaddr_in found, wanted = at(address, 0);
	memcpy(&found, &now.entries[0].local, sizeof found);
	EXPECT(found.sin_addr.s_addr == wanted.sin_addr.s_addr);
}

static void addresses(void)
{
	struct sockaddr_storage one = storage(OUR_FIRST, 0);
	socklen_t length = sizeof one;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(uses(fd, NULL, NULL));
	EXPECT(name_addresses(fd, TCP_MP_ADDRESSES, OUR_FIRST, NULL) == 0);
	EXPECT(uses(fd, OUR_FIRST, NULL));
	for (int connected = 0; connected < 2; connected++) {
		EXPECT_ERROR(name_addresses(fd, TCP_MP_ADDRESSES, "10.9.9.9", NULL), EADDRNOTAVAIL);
		EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, &one, sizeof one - 1), EINVAL);
		struct sockaddr_storage wrong = {.ss_family = AF_UNIX};
		EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, &wrong, sizeof wrong), EINVAL);
		struct sockaddr_storage nowhere = {.ss_family = AF_UNSPEC};
		strcpy(((struct sockaddr *)&nowhere)->sa_data, "eth77");
		EXPECT_ERROR(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, &nowhere, sizeof nowhere), ENODEV);
		length = sizeof one - 1;
		EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, &one, &length), EINVAL);
		EXPECT(uses(fd, OUR_FIRST, NULL));
		if (!connected)
			EXPECT(starts_with(fd));
	}
	echo(fd, 100000);
	usleep(300000);
	only(fd, OUR_FIRST);
	EXPECT(name_addresses(fd, TCP_MP_ADDRESSES, OUR_FIRST, OUR_SECOND) == 0);
	wait_for_subflows(fd, 2);
	struct flow flow;
	start_flow(&flow, fd);
	/* Make before break: the first one goes once the other one works. By an interface's name. */
	struct sockaddr_storage interface = {.ss_family = AF_UNSPEC};
	strcpy(((struct sockaddr *)&interface)->sa_data, "link2");
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_MP_ADDRESSES, &interface, sizeof interface) == 0);
	EXPECT(uses(fd, OUR_SECOND, NULL));
	flows_on(&flow);
	only(fd, OUR_SECOND);
	EXPECT(name_addresses(fd, TCP_MP_ADDRESSES, NULL, NULL) == 0 && uses(fd, NULL, NULL));
	end_flow(&flow);
	close(fd);
	EXPECT_ERROR(name_addresses(fd, TCP_MP_ADDRESSES, OUR_FIRST, NULL), EBADF);

	int port, listening = listener("0.0.0.0", &port);
	EXPECT(name_addresses(listening, TCP_MP_ADDRESSES, OUR_FIRST, NULL) == 0);
	fd = accepted(listening, port);
	EXPECT(uses(fd, OUR_FIRST, NULL));
	only(fd, OUR_FIRST);
	close(fd);
	close(listening);
}

static void add_and_remove(void)
{
	struct sockaddr_storage got;
	socklen_t length = sizeof got;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT_ERROR(name_addresses(fd, TCP_MULTIPATH_ADD, NULL, NULL), EINVAL);
	EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MULTIPATH_ADD, &got, &length), EINVAL);
	EXPECT_ERROR(getsockopt(fd, IPPROTO_TCP, TCP_MULTIPATH_REMOVE, &got, &length), EINVAL);
	EXPECT_ERROR(name_addresses(fd, TCP_MULTIPATH_REMOVE, OUR_FIRST, NULL), EADDRNOTAVAIL);
	EXPECT(name_addresses(fd, TCP_MULTIPATH_ADD, OUR_FIRST, NULL) == 0);
	EXPECT(uses(fd, OUR_FIRST, NULL));
	EXPECT(starts_with(fd));
	echo(fd, 1000);
	usleep(200000);
	only(fd, OUR_FIRST);
	EXPECT(name_addresses(fd, TCP_MULTIPATH_ADD, OUR_SECOND, NULL) == 0);
	EXPECT(uses(fd, OUR_FIRST, OUR_SECOND));
	wait_for_subflows(fd, 2);
	echo(fd, 100000);
	EXPECT_ERROR(name_addresses(fd, TCP_MULTIPATH_ADD, "10.9.9.9", NULL), EADDRNOTAVAIL);
	EXPECT(name_addresses(fd, TCP_MULTIPATH_REMOVE, OUR_FIRST, NULL) == 0);
	echo(fd, 100000);
	only(fd, OUR_SECOND);
	/* The last one stays, as with sctp_bindx(). */
	EXPECT_ERROR(name_addresses(fd, TCP_MULTIPATH_REMOVE, OUR_SECOND, NULL), EINVAL);
	close(fd);
}

static struct sockaddr_multipath both(const char *first, const char *second, int port)
{
	struct sockaddr_multipath name = {.family = AF_MULTIPATH, .count = 2};
	name.addresses[0] = storage(first, port);
	name.addresses[1] = storage(second, port);
	return name;
}

static void family(void)
{
	int fd = socket(AF_MULTIPATH, SOCK_STREAM, 0);
	EXPECT(fd >= 0 && get_int(fd, TCP_MP_ENABLE) == 1);
	struct sockaddr_multipath peer = both(PEER_FIRST, PEER_SECOND, MULTIPATH_PORT);
	socklen_t two = 8 + 2 * sizeof(struct sockaddr_storage);
	EXPECT_ERROR(connect(fd, (struct sockaddr *)&peer, two - 1), EINVAL);
	peer.count = 0;
	EXPECT_ERROR(connect(fd, (struct sockaddr *)&peer, two), EINVAL);
	peer.count = 9;
	EXPECT_ERROR(connect(fd, (struct sockaddr *)&peer, sizeof peer), EINVAL);
	peer.count = 2;
	EXPECT(connect(fd, (struct sockaddr *)&peer, two) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 10000);
	wait_for_subflows(fd, 2);
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	EXPECT_ERROR(getpeername(fd, (struct sockaddr *)&name, &length), EMULTIPATH);
	EXPECT_ERROR(getsockname(fd, (struct sockaddr *)&name, &length), EMULTIPATH);
	close(fd);

	int listening = socket(AF_MULTIPATH, SOCK_STREAM, 0);
	struct sockaddr_multipath ours = both(OUR_FIRST, OUR_SECOND, 7999);
	EXPECT(bind(listening, (struct sockaddr *)&ours, two) == 0);
	EXPECT(listen(listening, 5) == 0);
	struct sockaddr_multipath from;
	memset(&from, 0xee, sizeof from);
	socklen_t size = sizeof from;
	fd = accepted_from(listening, 7999, &from, &size);
	struct sockaddr_in of_peer, wanted = at(PEER_FIRST, 0);
	memcpy(&of_peer, &from.addresses[0], sizeof of_peer);
	EXPECT(size == 8 + sizeof(struct sockaddr_storage));
	EXPECT(from.family == AF_MULTIPATH && from.count == 1);
	EXPECT(of_peer.sin_family == AF_INET && of_peer.sin_port != 0);
	EXPECT(of_peer.sin_addr.s_addr == wanted.sin_addr.s_addr);
	EXPECT(get_int(fd, TCP_MP_ENABLE) == 1);
	EXPECT(uses(fd, OUR_FIRST, OUR_SECOND));
	EXPECT_ERROR(getpeername(fd, (struct sockaddr *)&name, &length), EMULTIPATH);
	close(fd);
	close(listening);
}

const struct row address_rows[] = {
	{"TCP_MP_ADDRESSES", addresses},
	{"TCP_MULTIPATH_ADD and TCP_MULTIPATH_REMOVE", add_and_remove},
	{"AF_MULTIPATH", family},
	{NULL, NULL},
};
