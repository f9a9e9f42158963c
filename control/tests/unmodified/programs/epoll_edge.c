/* Edge-triggered and one-shot. */
#include "check.h"
int main(void) {
    int set = epoll_create1(0), fd = dial('e');
    char bytes[8];
    SHOW(add(set, fd, EPOLLIN | EPOLLET, 1));
    show_epoll(set, 0);
    SHOW(write(fd, "ab", 2));
    show_epoll(set, 5000);
    show_epoll(set, 0);
    /* More behind what was not read is an edge. */
    SHOW(write(fd, "cd", 2));
    show_epoll(set, 5000);
    show_epoll(set, 0);
    SHOW(recv(fd, bytes, 4, MSG_WAITALL));
    show_epoll(set, 0);
    SHOW(recv(fd, bytes, 4, MSG_DONTWAIT));
    SHOW(write(fd, "ef", 2));
    show_epoll(set, 5000);
    SHOW(recv(fd, bytes, 2, 0));
    /* One-shot: once, until it is armed again. */
    struct epoll_event once = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 2};
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &once));
    SHOW(write(fd, "gh", 2));
    show_epoll(set, 5000);
    show_epoll(set, 0);
    SHOW(write(fd, "ij", 2));
    SHOW(recv(fd, bytes, 1, 0));
    show_epoll(set, 50);
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &once));
    show_epoll(set, 5000);
    SHOW(recv(fd, bytes, 3, MSG_WAITALL));
    /* The end, and the end in both directions. */
    struct epoll_event all = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = 3};
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &all));
    SHOW(shutdown(fd, SHUT_WR));
    show_bytes(fd, 1);
    usleep(100000);
    show_epoll(set, 5000);
    return 0;
}
