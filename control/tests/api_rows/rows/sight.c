/* What the rows look at the peer, the wire and the engine through. */
#include "rows.h"

#include <poll.h>
#include <stdarg.h>

#ifdef BY_BRAID_H
#define poll braid_poll
#endif

/* What a shell command gives out; without the preload library. */
static int shell(char *into, size_t size, const char *command)
{
	char whole[1024];
	snprintf(whole, sizeof whole, "unset LD_PRELOAD; %s", command);
	FILE *output = popen(whole, "r");
	if (!output)
		return -1;
	size_t length = fread(into, 1, size - 1, output);
	into[length] = 0;
	return pclose(output);
}

int there(const char *format, ...)
{
	char command[512], whole[700], output[4096];
	va_list values;
	va_start(values, format);
	vsnprintf(command, sizeof command, format, values);
	va_end(values);
	snprintf(whole, sizeof whole, "nsenter --net=$PEER_NAMESPACE sh -c '%s' 2>&1", command);
	int status = shell(output, sizeof output, whole);
	if (status)
		printf("  %s: %s\n", command, output);
	return status;
}

int braid(char *into, size_t size, const char *arguments)
{
	char whole[300];
	snprintf(whole, sizeof whole, "$BRAID %s 2>&1", arguments);
	int status = shell(into, size, whole);
	if (status)
		printf("  braid %s: %s\n", arguments, into);
	return status;
}

long counted_there(const char *name)
{
	static char table[16384];
	if (shell(table, sizeof table, "nsenter --net=$PEER_NAMESPACE grep MPTcpExt /proc/net/netstat"))
		return -1;
	/* A line of names, then one of values. */
	char *values = strchr(table, '\n'), *name_state, *value_state;
	if (!values)
		return -1;
	*values++ = 0;
	char *of = strtok_r(table, " ", &name_state), *is = strtok_r(values, " \n", &value_state);
	for (; of && is; of = strtok_r(NULL, " ", &name_state), is = strtok_r(NULL, " \n", &value_state))
		if (!strcmp(of, name))
			return atol(is);
	printf("  the peer has no counter %s\n", name);
	return -1;
}

void watch(const char *expression)
{
	EXPECT(there("nft add table inet watch && "
		     "nft \"add chain inet watch in { type filter hook prerouting priority -400; }\" && "
		     "nft add rule inet watch in %s counter", expression) == 0);
}

long watched(void)
{
	char text[4096];
	if (shell(text, sizeof text, "nsenter --net=$PEER_NAMESPACE nft list table inet watch"))
		return -1;
	const char *counter = strstr(text, "counter packets ");
	return counter ? atol(counter + strlen("counter packets ")) : -1;
}

void watch_no_more(void)
{
	EXPECT(there("nft delete table inet watch") == 0);
}

int readable(int fd, int milliseconds)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	return poll(&entry, 1, milliseconds) == 1 && (entry.revents & POLLIN) != 0;
}

static void *keep_flowing(void *argument)
{
	struct flow *flow = argument;
	while (!flow->stop) {
		echo(flow->fd, 16384);
		flow->rounds++;
	}
	return NULL;
}

void start_flow(struct flow *flow, int fd)
{
	flow->fd = fd;
	flow->rounds = 0;
	flow->stop = 0;
	EXPECT(pthread_create(&flow->thread, NULL, keep_flowing, flow) == 0);
	flows_on(flow);
}

void flows_on(const struct flow *flow)
{
	unsigned before = flow->rounds;
	for (int tries = 0; tries < 5000 && flow->rounds < before + 2; tries++)
		usleep(2000);
	EXPECT(flow->rounds >= before + 2);
}

void end_flow(struct flow *flow)
{
	flows_on(flow);
	flow->stop = 1;
	EXPECT(pthread_join(flow->thread, NULL) == 0);
}
