/* The table of rows, and what they share. */
#include "rows.h"

static unsigned failures;

void failed(const char *file, int line, const char *what)
{
	failures++;
	printf("  %s:%d: not so: %s (errno %d, %s)\n", file, line, what, errno, strerror(errno));
	fflush(stdout);
}

static unsigned run(const struct row *row)
{
	unsigned count = 0;
	for (; row->name; row++, count++) {
		unsigned before = failures;
		alarm(40);
		row->run();
		printf("%s %s\n", failures == before ? "ok" : "FAILED", row->name);
		fflush(stdout);
	}
	return count;
}

int main(int count, char **arguments)
{
	static const struct {
		const char *name;
		const struct row *rows;
	} tables[] = {
		{"usual", setting_rows}, {"usual", subflow_rows}, {"usual", address_rows},
		{"usual", linux_rows}, {"usual", legacy_rows}, {"usual", classic_rows},
		{"usual", path_rows}, {"usual", profile_rows}, {"usual", family_rows},
		{"policies", policy_rows}, {"rule", rule_rows}, {"reloaded", reloaded_rows},
		{"exclusive", exclusive_rows},
	};
	unsigned rows = 0;
	for (unsigned n = 0; n < sizeof tables / sizeof *tables; n++)
		if (!strcmp(count > 1 ? arguments[1] : "usual", tables[n].name))
			rows += run(tables[n].rows);
	printf("%u rows, %u failures\n", rows, failures);
	return failures != 0;
}

struct sockaddr_in at(const char *address, int port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, address, &name.sin_addr);
	return name;
}

struct sockaddr_storage storage(const char *address, int port)
{
	struct sockaddr_storage whole = {0};
	struct sockaddr_in name = at(address, port);
	memcpy(&whole, &name, sizeof name);
	return whole;
}

int connect_to(int fd, const char *address, int port)
{
	struct sockaddr_in name = at(address, port);
	return connect(fd, (struct sockaddr *)&name, sizeof name);
}

int connected(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(fd >= 0);
	EXPECT(connect_to(fd, PEER_FIRST, port) == 0);
	EXPECT(send(fd, "e", 1, 0) == 1);
	echo(fd, 1000);
	return fd;
}

void echo(int fd, size_t bytes)
{
	unsigned char out[4096], in[4096];
	for (size_t done = 0; done < bytes;) {
		size_t part = bytes - done < sizeof out ? bytes - done : sizeof out;
		for (size_t n = 0; n < part; n++)
			out[n] = (unsigned char)(done + n * 7);
		ssize_t sent = 0, got = 0, some;
		while (sent < (ssize_t)part) {
			some = send(fd, out + sent, part - sent, MSG_NOSIGNAL);
			if (some <= 0) {
				failed(__FILE__, __LINE__, "send");
				return;
			}
			sent += some;
		}
		while (got < (ssize_t)part) {
			some = recv(fd, in + got, part - got, 0);
			if (some <= 0) {
				failed(__FILE__, __LINE__, "recv");
				return;
			}
			got += some;
		}
		if (memcmp(in, out, part)) {
			failed(__FILE__, __LINE__, "the bytes that came back");
			return;
		}
		done += part;
	}
}

int listener(const char *address, int *port)
{
	static int next = 7000;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in name = at(address, *port = ++next);
	EXPECT(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
	EXPECT(listen(fd, 5) == 0);
	return fd;
}

int accepted(int listening, int port)
{
	return accepted_from(listening, port, NULL, NULL);
}

int accepted_from(int listening, int port, void *from, socklen_t *length)
{
	/* The peer reads where to connect to, and echoes there. */
	int asking = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT(connect_to(asking, PEER_FIRST, MULTIPATH_PORT) == 0);
	struct sockaddr_in name = at(OUR_FIRST, port);
	char request[7] = "c";
	memcpy(request + 1, &name.sin_addr, 4);
	memcpy(request + 5, &name.sin_port, 2);
	EXPECT(send(asking, request, sizeof request, 0) == sizeof request);
	int fd = accept(listening, from, length);
	EXPECT(fd >= 0);
	char hello;
	EXPECT(recv(fd, &hello, 1, 0) == 1 && hello == 'h');
	echo(fd, 1000);
	close(asking);
	return fd;
}

void have_reset(int fd)
{
	char byte;
	EXPECT(send(fd, "r", 1, 0) == 1);
	EXPECT(recv(fd, &byte, 1, 0) == -1 && errno == ECONNRESET);
}

int set_int(int fd, int name, int value)
{
	return setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value);
}

int get_int(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof value;
	if (getsockopt(fd, IPPROTO_TCP, name, &value, &length) || length != sizeof value)
		return -1;
	return value;
}

int list(int fd, struct listed *into)
{
	socklen_t length = sizeof *into;
	memset(into, 0, sizeof *into);
	return getsockopt(fd, IPPROTO_TCP, TCP_MP_SUBFLOWS, into, &length);
}

void wait_for_subflows(int fd, unsigned count)
{
	struct listed now;
	for (int tries = 0; tries < 1000; tries++) {
		unsigned joined = 0;
		if (list(fd, &now))
			break;
		for (unsigned n = 0; n < now.header.copied; n++)
			joined += (now.entries[n].flags & TCP_MP_SUBFLOW_JOINED) != 0;
		if (joined == count && now.header.total == count)
			return;
		usleep(10000);
	}
	printf("  %u subflows instead of %u\n", now.header.total, count);
	failed(__FILE__, __LINE__, "the number of subflows");
}

int manual(int fd)
{
	struct tcp_mp_path_manager manager = {.name = "manual"};
	return setsockopt(fd, IPPROTO_TCP, TCP_MP_PATH_MANAGER, &manager, sizeof manager);
}

int add_subflow(int fd, const char *local, const char *remote, unsigned flags)
{
	struct tcp_mp_add_subflow new = {.flags = flags};
	if (local)
		new.local = storage(local, 0);
	if (remote)
		new.remote = storage(remote, 0);
	return setsockopt(fd, IPPROTO_TCP, TCP_MP_ADD_SUBFLOW, &new, sizeof new);
}
