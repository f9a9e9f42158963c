/*
 * Bulk transfer over every path there is (the draft's profile 1), through braid.h.
 *
 *     cc -o bulk bulk.c -lbraid
 *     ./bulk 10.1.1.1 9 100          # 100 MB to a discard service
 *
 * The default profile is the one for bulk, so a program that only wants throughput need set nothing.
 * This one says so all the same, takes the coupled controller of RFC 6356, and tells at the end what
 * each path carried.
 */
#include <arpa/inet.h>
#include <braid.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int main(int count, char **arguments)
{
	if (count != 4) {
		fprintf(stderr, "usage: bulk ADDRESS PORT MEGABYTES\n");
		return 2;
	}
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[2]))};
	inet_pton(AF_INET, arguments[1], &peer.sin_addr);
	long long left = atoll(arguments[3]) * 1000000;

	int fd = braid_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	if (fd < 0)
		fail("braid_socket");
	int profile = TCP_MP_PROFILE_BULK;
	if (braid_setsockopt(fd, IPPROTO_TCP, TCP_MP_PROFILE, &profile, sizeof profile))
		fail("TCP_MP_PROFILE");
	if (braid_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "lia", 3))
		fail("TCP_CONGESTION");
	if (braid_connect(fd, (struct sockaddr *)&peer, sizeof peer))
		fail("braid_connect");

	static char buffer[1 << 16];
	while (left > 0) {
		ssize_t sent = braid_send(fd, buffer, left < (long long)sizeof buffer ? (size_t)left : sizeof buffer, MSG_NOSIGNAL);
		if (sent < 0)
			fail("braid_send");
		left -= sent;
	}

	struct {
		struct tcp_mp_subflows_header header;
		struct tcp_mp_subflow entries[8];
	} now;
	socklen_t length = sizeof now;
	if (braid_getsockopt(fd, IPPROTO_TCP, TCP_MP_SUBFLOWS, &now, &length))
		fail("TCP_MP_SUBFLOWS");
	for (unsigned n = 0; n < now.header.copied; n++)
		printf("subflow %u: %llu bytes, %.1f %%\n", now.entries[n].id,
		       (unsigned long long)now.entries[n].bytes_sent, now.entries[n].share_tx / 100.0);

	braid_shutdown(fd, SHUT_WR);
	while (braid_recv(fd, buffer, sizeof buffer, 0) > 0)
		;
	braid_close(fd);
	return 0;
}
