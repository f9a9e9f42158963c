/*
 * Which subflows a connection has, and what each carries.
 *
 *     cc -o list_subflows list_subflows.c
 *     braid exec -- ./list_subflows 10.1.1.1 7      # an echo service
 *
 * TCP_MP_SUBFLOWS gives one consistent snapshot: a header, then an entry for each subflow. Step by
 * the sizes that the header tells, and the program also runs where entries have grown.
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

static const char *text(const struct sockaddr_storage *address, char *into, size_t length)
{
	char ip[INET6_ADDRSTRLEN] = "";
	int port = 0;
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *four = (const struct sockaddr_in *)address;
		inet_ntop(AF_INET, &four->sin_addr, ip, sizeof ip);
		port = ntohs(four->sin_port);
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
		inet_ntop(AF_INET6, &six->sin6_addr, ip, sizeof ip);
		port = ntohs(six->sin6_port);
	}
	snprintf(into, length, "%s %d", ip, port);
	return into;
}

static void list(int fd)
{
	/* Ask for the header to learn how many there are, then for all of them. */
	struct tcp_mp_subflows_header header;
	socklen_t length = sizeof header;
	if (getsockopt(fd, IPPROTO_TCP, TCP_MP_SUBFLOWS, &header, &length))
		fail("TCP_MP_SUBFLOWS");
	length = header.header_size + header.total * header.entry_size;
	char *list = malloc(length);
	if (!list || getsockopt(fd, IPPROTO_TCP, TCP_MP_SUBFLOWS, list, &length))
		fail("TCP_MP_SUBFLOWS");
	memcpy(&header, list, sizeof header);
	for (unsigned n = 0; n < header.copied; n++) {
		struct tcp_mp_subflow one;
		char local[64], remote[64];
		memcpy(&one, list + header.header_size + n * header.entry_size, sizeof one);
		printf("%u: %s -> %s%s%s%s, sent %.1f %%, received %.1f %%, rtt %.2f ms, cwnd %u\n", one.id,
		       text(&one.local, local, sizeof local), text(&one.remote, remote, sizeof remote),
		       one.flags & TCP_MP_SUBFLOW_INITIAL ? ", initial" : "",
		       one.flags & TCP_MP_SUBFLOW_BACKUP ? ", backup" : "",
		       one.flags & TCP_MP_SUBFLOW_STALE ? ", stale" : "", one.share_tx / 100.0,
		       one.share_rx / 100.0, one.srtt_us / 1000.0, one.cwnd);
	}
	free(list);
}

int main(int count, char **arguments)
{
	if (count != 3) {
		fprintf(stderr, "usage: list_subflows ADDRESS PORT\n");
		return 2;
	}
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[2]))};
	inet_pton(AF_INET, arguments[1], &peer.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&peer, sizeof peer))
		fail("connect");
	char bytes[10000] = {0};
	for (int round = 0; round < 200; round++) {
		if (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) != sizeof bytes)
			fail("send");
		if (recv(fd, bytes, sizeof bytes, MSG_WAITALL) != sizeof bytes)
			fail("recv");
		usleep(2000);
	}
	list(fd);
	close(fd);
	return 0;
}
