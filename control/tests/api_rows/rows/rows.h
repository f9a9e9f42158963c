/*
 * What the rows of the socket API's table share. Compiled twice: with BY_BRAID_H every call goes
 * through libbraid, without it they are the C library's, for the preload library to take over.
 */
#ifndef ROWS_H
#define ROWS_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <braid.h>
#include <linux/mptcp.h>
#include <linux/tcp.h>

#ifdef BY_BRAID_H
#define socket braid_socket
#define bind braid_bind
#define listen braid_listen
#define accept braid_accept
#define connect braid_connect
#define shutdown braid_shutdown
#define close braid_close
#define send braid_send
#define recv braid_recv
#define setsockopt braid_setsockopt
#define getsockopt braid_getsockopt
#define getsockname braid_getsockname
#define getpeername braid_getpeername
#endif

/* Newer than some headers: the fourth option of Linux, and where its struct has grown. */
#ifndef MPTCP_FULL_INFO
#define MPTCP_FULL_INFO 4
struct mptcp_subflow_info {
	__u32 id;
	struct mptcp_subflow_addrs addrs;
};
struct mptcp_full_info {
	__u32 size_tcpinfo_kernel;
	__u32 size_tcpinfo_user;
	__u32 size_sfinfo_kernel;
	__u32 size_sfinfo_user;
	__u32 num_subflows;
	__u32 size_arrays_user;
	__aligned_u64 subflow_info;
	__aligned_u64 tcp_info;
	struct mptcp_info mptcp_info;
};
#endif

/* The first link, the second, and what listens behind them. */
#define OUR_FIRST "10.1.1.2"
#define OUR_SECOND "10.1.2.2"
#define PEER_FIRST "10.1.1.1"
#define PEER_SECOND "10.1.2.1"
/* <netinet/tcp.h> has its name, and does not go with <linux/tcp.h>. */
enum { TCP_ESTABLISHED = 1 };
enum { MULTIPATH_PORT = 6001, PLAIN_PORT = 6002, DISCARD_PORT = 6004 };

struct row {
	const char *name;
	void (*run)(void);
};

extern const struct row setting_rows[], subflow_rows[], linux_rows[], legacy_rows[],
	address_rows[], policy_rows[], rule_rows[], reloaded_rows[], exclusive_rows[],
	classic_rows[], path_rows[], profile_rows[], family_rows[];

void failed(const char *file, int line, const char *what);
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			failed(__FILE__, __LINE__, #condition); \
	} while (0)
#define EXPECT_ERROR(call, error) \
	do { \
		errno = 0; \
		EXPECT((call) == -1 && errno == (error)); \
	} while (0)

struct sockaddr_in at(const char *address, int port);
struct sockaddr_storage storage(const char *address, int port);

/* A socket that is connected to the peer's port, after a first exchange of bytes. */
int connected(int port);
int connect_to(int fd, const char *address, int port);
/* Sends that many bytes and reads the very same. */
void echo(int fd, size_t bytes);
/* A listener at `address` and the connection that the peer makes to it on request. */
int listener(const char *address, int *port);
int accepted(int listening, int port);
int accepted_from(int listening, int port, void *from, socklen_t *length);
/* Has the peer reset the connection, and waits until that is known. */
void have_reset(int fd);

int set_int(int fd, int name, int value);
/* The option's value, or -1 with errno. */
int get_int(int fd, int name);

/* A list of subflows. */
struct listed {
	struct tcp_mp_subflows_header header;
	struct tcp_mp_subflow entries[32];
};
int list(int fd, struct listed *into);
/* How often what is to be measured may fail. Subflows at two workers are two threads: one that the
 * machine does not run for some milliseconds falls behind, and its copies are left out, as they should be. */
enum { ATTEMPTS = 6 };
/* Waits until so many subflows have completed their handshakes and no other is there. */
void wait_for_subflows(int fd, unsigned count);
/* Has the connection use the paths that the program names, and no others. */
int manual(int fd);
int add_subflow(int fd, const char *local, const char *remote, unsigned flags);

/* Runs a command in the peer's namespace. */
int there(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Runs `braid` with these arguments; what it says goes to `into`. */
int braid(char *into, size_t size, const char *arguments);
/* One of the peer's counters of Multipath TCP (/proc/net/netstat), without its prefix. */
long counted_there(const char *name);
/* Counts the packets that reach the peer from here on and match an expression of nft. */
void watch(const char *expression);
long watched(void);
void watch_no_more(void);
/* Whether there are bytes to read within that time. */
int readable(int fd, int milliseconds);

/* A thread that keeps sending to the echo and compares what comes back. */
struct flow {
	pthread_t thread;
	int fd;
	atomic_uint rounds, stop;
};
void start_flow(struct flow *flow, int fd);
/* Waits until further bytes have gone round. */
void flows_on(const struct flow *flow);
void end_flow(struct flow *flow);

#endif
