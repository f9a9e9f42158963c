/*
 * Sockets of Braid's engine: Multipath TCP in user space.
 *
 * The calls of the C library, with braid_ before their names: the same arguments, results and errno.
 * Options and their structs: draft-scharf-mptcp-api-01, RFC 6897, and Linux's own.
 *
 * Generated from control/socket/src/ffi; the test `header` of braid-c says how.
 */

#ifndef BRAID_H
#define BRAID_H

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* Of <sys/socket.h>, which has its members with _GNU_SOURCE only. */
struct mmsghdr;

/* Linux's own, where the headers of the C library are older than they. */
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif

/* getpeername and getsockname on a multipath-aware socket (the draft's section 5.2). Above every
   errno of the kernel. */
#define EMULTIPATH 1000

/* The draft's address family (section 5.3). */
#define AF_MULTIPATH 262

/* int, get and set: asks for MPTCP, makes the socket aware; get after connect: whether it is in use. */
#define TCP_MP_ENABLE 1001

/* tcp_mp_subflows_header and entries, get. */
#define TCP_MP_SUBFLOWS 1002

/* int, get and set: 1 bulk, 2 latency with overflow, 3 latency with hot standby. */
#define TCP_MP_PROFILE 1003

/* array of sockaddr, get and set: local addresses that the connection may use. */
#define TCP_MP_ADDRESSES 1004

/* u32, get: the connection's local token. */
#define TCP_MP_CONNID 1005

/* int, get and set: most subflows. */
#define TCP_MP_MAX_SUBFLOWS 1006

/* string, get and set: the scheduler. */
#define TCP_MP_SCHEDULER 1007

/* tcp_mp_add_subflow, set. */
#define TCP_MP_ADD_SUBFLOW 1008

/* u32 id, set. */
#define TCP_MP_REMOVE_SUBFLOW 1009

/* tcp_mp_path_manager, get and set. */
#define TCP_MP_PATH_MANAGER 1010

/* tcp_mp_priority, set. */
#define TCP_MP_PRIORITY 1011

/* int, get and set: subflows that each byte goes out on. */
#define TCP_MP_REDUNDANCY 1012

/* RFC 6897, 5.1: get and set. */
#define TCP_MULTIPATH_ENABLE 1021

/* RFC 6897, 5.2: binds to further local addresses. */
#define TCP_MULTIPATH_ADD 1022

/* RFC 6897, 5.2: gives local addresses up. */
#define TCP_MULTIPATH_REMOVE 1023

/* RFC 6897, 5.3: pairs of addresses in use. */
#define TCP_MULTIPATH_SUBFLOWS 1024

/* RFC 6897, 5.4: the local token. */
#define TCP_MULTIPATH_CONNID 1025

/* TCP_MP_PROFILE: every path filled. */
#define TCP_MP_PROFILE_BULK 1

/* TCP_MP_PROFILE: the fastest path, the next when it is full. */
#define TCP_MP_PROFILE_LATENCY 2

/* TCP_MP_PROFILE: one path, and one that stands by. */
#define TCP_MP_PROFILE_STANDBY 3

/* Flag of a subflow: the connection's first. */
#define TCP_MP_SUBFLOW_INITIAL 1

/* Flag of a subflow: used when no other is there. */
#define TCP_MP_SUBFLOW_BACKUP 2

/* Flag of a subflow: its handshake is complete. */
#define TCP_MP_SUBFLOW_JOINED 4

/* Flag of a subflow: it does not answer at present. */
#define TCP_MP_SUBFLOW_STALE 8

/* Flag of a subflow: made preferred by TCP_MP_PRIORITY. */
#define TCP_MP_SUBFLOW_PREFERRED 16

/* tcp_mp_priority: before all normal ones. */
#define TCP_MP_PRIORITY_PREFERRED 1

/* tcp_mp_priority: as it was made. */
#define TCP_MP_PRIORITY_NORMAL 2

/* tcp_mp_priority: only when no other is there. */
#define TCP_MP_PRIORITY_BACKUP 3

/* What TCP_MP_SUBFLOWS gives first. Entries follow at header_size, each entry_size bytes from the
   one before. */
struct tcp_mp_subflows_header {
/* Bytes of this header. */
  uint32_t header_size;
/* Bytes of an entry. */
  uint32_t entry_size;
/* Subflows that there are. */
  uint32_t total;
/* Entries that fitted. */
  uint32_t copied;
};

/* One subflow, as TCP_MP_SUBFLOWS tells it. */
struct tcp_mp_subflow {
/* Its id, for TCP_MP_REMOVE_SUBFLOW and TCP_MP_PRIORITY. */
  uint32_t id;
/* Its state, by the numbers of TCP_ESTABLISHED (1) and so on. */
  uint32_t state;
/* TCP_MP_SUBFLOW_INITIAL and so on. */
  uint32_t flags;
/* Its share of what the connection sent, in parts per 10,000. */
  uint32_t share_tx;
/* Its share of what the connection received, in parts per 10,000. */
  uint32_t share_rx;
/* Smoothed round-trip time in microseconds. */
  uint32_t srtt_us;
/* Congestion window in bytes. */
  uint32_t cwnd;
/* Zero. */
  uint32_t reserved;
/* Bytes of payload sent. */
  uint64_t bytes_sent;
/* Bytes of payload received. */
  uint64_t bytes_received;
/* Segments sent again. */
  uint64_t retransmissions;
/* Its local end. */
  struct sockaddr_storage local;
/* Its remote end. */
  struct sockaddr_storage remote;
};

/* What TCP_MP_ADD_SUBFLOW takes. */
struct tcp_mp_add_subflow {
/* From where; port 0: any. */
  struct sockaddr_storage local;
/* To where; port 0: that of the connection. */
  struct sockaddr_storage remote;
/* 1: as a backup. */
  uint32_t flags;
/* Zero. */
  uint32_t reserved;
};

/* What TCP_MP_PRIORITY takes. */
struct tcp_mp_priority {
/* The subflow's id. */
  uint32_t id;
/* TCP_MP_PRIORITY_PREFERRED and so on. */
  uint32_t priority;
};

/* What TCP_MP_PATH_MANAGER takes and gives. */
struct tcp_mp_path_manager {
/* fullmesh, signal, ondemand or manual, with a zero behind it. */
  char name[16];
/* Of ondemand: bytes after which further subflows are opened. */
  uint64_t threshold;
};

/* The address of a socket of AF_MULTIPATH: up to eight addresses, v4 and v6 mixed. Its length is 8
   bytes and 128 for each. */
struct sockaddr_multipath {
/* AF_MULTIPATH. */
  uint16_t family;
/* Addresses that follow, 1 to 8. */
  uint16_t count;
/* Zero. */
  uint32_t reserved;
/* The addresses. */
  struct sockaddr_storage addresses[8];
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* Takes the engine that listens at this path for all sockets from here on, instead of the one at
   $BRAID_SOCKET or /run/braid/engine.sock. */
int braid_use_engine(const char *path);

/* Copies into text, as a string, why the engine refused the last request of this process. Returns
   the length of the whole reason; 0: it has refused none. */
ssize_t braid_refusal(char *text, size_t length);

/* socket(2): AF_INET, AF_INET6 or AF_MULTIPATH; SOCK_STREAM; 0, IPPROTO_TCP or IPPROTO_MPTCP. */
int braid_socket(int domain, int kind, int protocol);

/* bind(2); a struct sockaddr_multipath on a socket of AF_MULTIPATH. */
int braid_bind(int fd, const struct sockaddr *address, socklen_t length);

/* listen(2). */
int braid_listen(int fd, int backlog);

/* accept(2); a struct sockaddr_multipath from a listener of AF_MULTIPATH. */
int braid_accept(int fd, struct sockaddr *address, socklen_t *length);

/* accept4(2), with SOCK_NONBLOCK and SOCK_CLOEXEC. */
int braid_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);

/* connect(2); a struct sockaddr_multipath on a socket of AF_MULTIPATH. */
int braid_connect(int fd, const struct sockaddr *address, socklen_t length);

/* shutdown(2). */
int braid_shutdown(int fd, int how);

/* close(2), of any descriptor. One of Braid that is closed by close(2) itself is taken for that of a
   program that died. */
int braid_close(int fd);

/* dup(2). */
int braid_dup(int fd);

/* getsockname(2). Fails with EMULTIPATH on a multipath-aware socket. */
int braid_getsockname(int fd, struct sockaddr *address, socklen_t *length);

/* getpeername(2). Fails with EMULTIPATH on a multipath-aware socket. */
int braid_getpeername(int fd, struct sockaddr *address, socklen_t *length);

/* send(2), with MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE. */
ssize_t braid_send(int fd, const void *from, size_t length, int flags);

/* sendto(2). The address is not looked at, as with any connected stream. */
ssize_t braid_sendto(int fd,
                     const void *from,
                     size_t length,
                     int flags,
                     const struct sockaddr *_address,
                     socklen_t _address_length);

/* sendmsg(2). Address and control data are not looked at. */
ssize_t braid_sendmsg(int fd, const struct msghdr *message, int flags);

/* write(2). */
ssize_t braid_write(int fd, const void *from, size_t length);

/* writev(2). */
ssize_t braid_writev(int fd, const struct iovec *first, int count);

/* recv(2), with MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_TRUNC. */
ssize_t braid_recv(int fd, void *into, size_t length, int flags);

/* recvfrom(2). There is no address, as with any connected stream: its length becomes 0. */
ssize_t braid_recvfrom(int fd,
                       void *into,
                       size_t length,
                       int flags,
                       struct sockaddr *_address,
                       socklen_t *address_length);

/* recvmsg(2). There is neither address nor control data. */
ssize_t braid_recvmsg(int fd, struct msghdr *message, int flags);

/* read(2). */
ssize_t braid_read(int fd, void *into, size_t length);

/* readv(2). */
ssize_t braid_readv(int fd, const struct iovec *first, int count);

/* recvmmsg(2), with MSG_WAITFORONE beside the flags of recv(2). */
int braid_recvmmsg(int fd,
                   struct mmsghdr *messages,
                   unsigned int count,
                   int flags,
                   const struct timespec *timeout);

/* sendmmsg(2). */
int braid_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);

/* setsockopt(2). */
int braid_setsockopt(int fd, int level, int name, const void *value, socklen_t length);

/* getsockopt(2). */
int braid_getsockopt(int fd, int level, int name, void *value, socklen_t *length);

/* ioctl(2): FIONREAD, FIONBIO, SIOCOUTQ (TIOCOUTQ), SIOCOUTQNSD and SIOCATMARK. Fails with ENOTTY for
   others. */
int braid_ioctl(int fd, unsigned long request, int *argument);

/* fcntl(2): F_GETFL and F_SETFL, of which O_NONBLOCK is the socket's; F_DUPFD and F_DUPFD_CLOEXEC;
   F_GETFD and F_SETFD. */
int braid_fcntl(int fd, int command, long argument);

/* poll(2), over descriptors of Braid and of the kernel. */
int braid_poll(struct pollfd *entries, unsigned long count, int timeout);

/* ppoll(2), over descriptors of Braid and of the kernel. */
int braid_ppoll(struct pollfd *entries,
                unsigned long count,
                const struct timespec *timeout,
                const sigset_t *mask);

/* epoll_ctl(2): has a descriptor of Braid follow its socket's readiness from here on. epoll_wait(2)
   is then as usual. */
int braid_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BRAID_H */
