/* What the programs of these tests share. Each prints what it sees, and what it prints must be the
 * same over the kernel's sockets and over the engine's. The far end is a service of the test, at the
 * address in FAR: the first byte that it gets says what it does (see unmodified/far.rs). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Prints an expression, its value, and errno if that is -1. */
#define SHOW(expression)                                                        \
    do {                                                                        \
        errno = 0;                                                              \
        long value_ = (long)(expression);                                       \
        int errno_ = errno;                                                     \
        printf("%s = %ld%s%s\n", #expression, value_, value_ == -1 ? " " : "",  \
               value_ == -1 ? strerrorname_np(errno_) : "");                    \
        fflush(stdout);                                                         \
    } while (0)

static inline struct sockaddr_in far_address(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("FAR_PORT")))};
    inet_pton(AF_INET, getenv("FAR"), &address.sin_addr);
    return address;
}

/* A connection to the far end, which has been told what to do. */
static inline int dial(char what) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = far_address();
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 || write(fd, &what, 1) != 1) {
        printf("cannot dial: %s\n", strerrorname_np(errno));
        exit(1);
    }
    return fd;
}

/* Reads `count` bytes, or to the end, and prints them. */
static inline void show_bytes(int fd, size_t count) {
    char bytes[4096];
    size_t have = 0;
    while (have < count && have < sizeof bytes) {
        ssize_t got = read(fd, bytes + have, count - have);
        if (got < 0) {
            printf("read: %s\n", strerrorname_np(errno));
            fflush(stdout);
            return;
        }
        if (got == 0) break;
        have += got;
    }
    printf("%zu bytes: %.*s\n", have, (int)have, bytes);
    fflush(stdout);
}

static inline void show_poll(int fd, short events, int timeout) {
    struct pollfd entry = {.fd = fd, .events = events};
    int ready = poll(&entry, 1, timeout);
    printf("poll = %d:%s%s%s%s%s%s\n", ready, entry.revents & POLLIN ? " IN" : "",
           entry.revents & POLLOUT ? " OUT" : "", entry.revents & POLLRDHUP ? " RDHUP" : "",
           entry.revents & POLLERR ? " ERR" : "", entry.revents & POLLHUP ? " HUP" : "",
           entry.revents & POLLNVAL ? " NVAL" : "");
    fflush(stdout);
}

/* Whether there is an event within the time, and which. */
static inline void show_epoll(int set, int timeout) {
    struct epoll_event event = {0};
    int ready = epoll_wait(set, &event, 1, timeout);
    printf("epoll = %d: data %ld%s%s%s%s%s\n", ready, ready > 0 ? (long)event.data.u64 : 0,
           event.events & EPOLLIN ? " IN" : "", event.events & EPOLLOUT ? " OUT" : "",
           event.events & EPOLLRDHUP ? " RDHUP" : "", event.events & EPOLLERR ? " ERR" : "",
           event.events & EPOLLHUP ? " HUP" : "");
    fflush(stdout);
}

/* Passes a descriptor by a Unix socket: what sendmsg() gives. */
static inline long pass(int by, int fd) {
    char byte = 'p', control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(by, &message, 0);
}

static inline int add(int set, int fd, unsigned events, long data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}
