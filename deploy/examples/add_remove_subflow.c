/*
 * A program that opens and closes its subflows itself.
 *
 *     cc -o add_remove_subflow add_remove_subflow.c
 *     braid exec -- ./add_remove_subflow 10.1.1.1 7 10.1.2.2 10.1.2.1
 *
 * The path manager "manual" opens nothing by itself. A further subflow goes from the third to the
 * fourth address, carries its part, and is closed again; the connection goes on without it.
 */
#include <arpa/inet.h>
#include <braid.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Sends bytes to the echo service and reads them again. */
static void exchange(int fd)
{
	char bytes[20000] = {0};
	for (int round = 0; round < 20; round++) {
		if (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) != sizeof bytes)
			fail("send");
		if (recv(fd, bytes, sizeof bytes, MSG_WAITALL) != sizeof bytes)
			fail("recv");
	}
}

struct list {
	struct tcp_mp_subflows_header header;
	struct tcp_mp_subflow entries[8];
};

static struct list list(int fd)
{
	struct list now;
	socklen_t length = sizeof now;
	if (getsockopt(fd, IPPROTO_TCP, TCP_MP_SUBFLOWS, &now, &length))
		fail("TCP_MP_SUBFLOWS");
	return now;
}

/* Opening takes a handshake, and closing one too: waits until there are so many. */
static struct list wait_for(int fd, unsigned count)
{
	for (int tries = 0; tries < 500; tries++) {
		struct list now = list(fd);
		unsigned joined = 0;
		for (unsigned n = 0; n < now.header.copied; n++)
			joined += (now.entries[n].flags & TCP_MP_SUBFLOW_JOINED) != 0;
		if (joined == count && now.header.total == count)
			return now;
		usleep(10000);
	}
	fprintf(stderr, "there are not %u subflows after five seconds\n", count);
	exit(1);
}

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in name = {.sin_family = AF_INET};
	inet_pton(AF_INET, text, &name.sin_addr);
	memcpy(&storage, &name, sizeof name);
	return storage;
}

int main(int count, char **arguments)
{
	if (count != 5) {
		fprintf(stderr, "usage: add_remove_subflow ADDRESS PORT LOCAL REMOTE\n");
		return 2;
	}
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[2]))};
	inet_pton(AF_INET, arguments[1], &peer.sin_addr);

	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct tcp_mp_path_manager manual = {.name = "manual"};
	if (setsockopt(fd, IPPROTO_TCP, TCP_MP_PATH_MANAGER, &manual, sizeof manual))
		fail("TCP_MP_PATH_MANAGER: start this program by `braid exec`");
	if (connect(fd, (struct sockaddr *)&peer, sizeof peer))
		fail("connect");
	exchange(fd);
	printf("%u subflow\n", wait_for(fd, 1).header.total);

	struct tcp_mp_add_subflow new = {.local = address(arguments[3]), .remote = address(arguments[4])};
	if (setsockopt(fd, IPPROTO_TCP, TCP_MP_ADD_SUBFLOW, &new, sizeof new))
		fail("TCP_MP_ADD_SUBFLOW");
	struct list two = wait_for(fd, 2);
	exchange(fd);
	printf("%u subflows\n", two.header.total);

	uint32_t added = two.entries[1].id;
	if (setsockopt(fd, IPPROTO_TCP, TCP_MP_REMOVE_SUBFLOW, &added, sizeof added))
		fail("TCP_MP_REMOVE_SUBFLOW");
	printf("%u subflow\n", wait_for(fd, 1).header.total);
	exchange(fd);
	close(fd);
	return 0;
}
