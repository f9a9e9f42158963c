/* Numbers that mean something else later: of a set, and of sockets before and after they have an
 * address. */
#include "check.h"
static int start(int set, unsigned events, long data) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (add(set, fd, events, data) != 0) exit(1);
    return fd;
}
static int finish(int fd) {
    struct sockaddr_in address = far_address();
    return connect(fd, (struct sockaddr *)&address, sizeof address);
}
int main(void) {
    /* The set that a socket was in is closed, and its number is another set's. */
    int set = epoll_create1(0), fd = start(set, EPOLLIN, 1), number = set;
    SHOW(close(set));
    set = epoll_create1(0);
    SHOW(set == number);
    SHOW(finish(fd));
    SHOW(write(fd, "e", 1));
    SHOW(add(set, fd, EPOLLOUT, 2));
    show_epoll(set, 1000);
    SHOW(close(fd));
    show_epoll(set, 0);
    /* Taken out by another number of the set. */
    int copy = dup(set);
    fd = start(set, EPOLLOUT, 3);
    SHOW(epoll_ctl(copy, EPOLL_CTL_DEL, fd, NULL));
    SHOW(finish(fd));
    show_epoll(set, 50);
    SHOW(write(fd, "e", 1));
    /* The number of a set becomes another set, with changes in both. */
    int other = epoll_create1(0), more = dial('e');
    struct epoll_event out = {.events = EPOLLOUT, .data.u64 = 6};
    SHOW(add(set, fd, EPOLLIN, 4));
    SHOW(add(other, more, EPOLLIN, 5));
    SHOW(epoll_ctl(other, EPOLL_CTL_MOD, more, &out));
    SHOW(dup2(other, set) == set);
    show_epoll(set, 1000);
    show_epoll(copy, 0);
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &out));
    SHOW(epoll_ctl(copy, EPOLL_CTL_MOD, fd, &out));
    show_epoll(copy, 1000);
    /* High numbers. */
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
    set = fcntl(other, F_DUPFD, 2000);
    SHOW(set >= 2000);
    show_epoll(set, 1000);
    int high = dup2(epoll_create1(0), 3000);
    SHOW(add(high, more, EPOLLIN, 7));
    SHOW(write(more, "xy", 2));
    show_epoll(high, 5000);
    char bytes[4];
    SHOW(recv(more, bytes, 4, MSG_WAITALL | MSG_DONTWAIT) > 0);
    SHOW(epoll_ctl(high, EPOLL_CTL_MOD, more, &out));
    show_epoll(high, 0);
    SHOW(close(high));
    SHOW(epoll_wait(high, &out, 1, 0));
    return 0;
}
