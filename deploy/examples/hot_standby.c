/*
 * Requests and responses on one path, with another one that stands by (the draft's profile 3).
 *
 *     cc -o hot_standby hot_standby.c
 *     braid exec -- ./hot_standby 10.1.1.1 7 10     # ten seconds with an echo service
 *
 * Plain sockets: what makes it Multipath TCP is `braid exec`, and one option. When the primary path
 * fails, the backup goes on with no byte lost; the longest that a response took shows how soon.
 */
#include <arpa/inet.h>
#include <braid.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int count, char **arguments)
{
	if (count != 4) {
		fprintf(stderr, "usage: hot_standby ADDRESS PORT SECONDS\n");
		return 2;
	}
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[2]))};
	inet_pton(AF_INET, arguments[1], &peer.sin_addr);

	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int profile = TCP_MP_PROFILE_STANDBY, on = 1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_MP_PROFILE, &profile, sizeof profile))
		fail("TCP_MP_PROFILE: start this program by `braid exec`");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&peer, sizeof peer))
		fail("connect");

	char request[100], response[sizeof request];
	double end = now() + atof(arguments[3]), longest = 0;
	unsigned responses = 0;
	while (now() < end) {
		memset(request, 'a' + responses % 26, sizeof request);
		double sent = now();
		if (send(fd, request, sizeof request, MSG_NOSIGNAL) != sizeof request)
			fail("send");
		if (recv(fd, response, sizeof response, MSG_WAITALL) != sizeof response)
			fail("recv");
		if (memcmp(request, response, sizeof request)) {
			fprintf(stderr, "another response than was sent\n");
			return 1;
		}
		if (now() - sent > longest)
			longest = now() - sent;
		responses++;
		usleep(1000);
	}
	printf("%u responses, the longest took %.1f ms\n", responses, longest * 1000);
	close(fd);
	return 0;
}
