/* Two descriptors with the same data in one set, and one that is in two sets: readable no longer than
 * there are bytes, and at each edge. */
#include "check.h"
static void turn(int fd, int set) {
    char bytes[8];
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    SHOW(write(fd, "x", 1));
    show_epoll(set, 5000);
    SHOW(recv(fd, bytes, 8, MSG_DONTWAIT));
    show_epoll(set, 0);
    SHOW(recv(fd, bytes, 8, MSG_DONTWAIT));
    show_epoll(set, 0);
}
int main(void) {
    int set = epoll_create1(0), first = dial('e'), second = dial('e');
    SHOW(add(set, first, EPOLLIN, 7));
    turn(first, set);
    SHOW(add(set, second, EPOLLIN, 7));
    for (int n = 0; n < 3; n++) {
        turn(first, set);
        turn(second, set);
    }
    SHOW(close(set));
    /* Both before the first wait. */
    set = epoll_create1(0);
    SHOW(add(set, first, EPOLLIN, 7));
    SHOW(add(set, second, EPOLLIN, 7));
    turn(first, set);
    turn(second, set);
    SHOW(close(set));
    int level = epoll_create1(0), edge = epoll_create1(0), copy = dup(first);
    SHOW(add(level, first, EPOLLIN, 1));
    SHOW(add(edge, copy, EPOLLIN | EPOLLET, 2));
    int missed = 0;
    for (int n = 0; n < 30; n++) {
        char bytes[8];
        struct epoll_event event;
        if (write(first, "x", 1) != 1) return 1;
        if (epoll_wait(edge, &event, 1, 1000) != 1) missed++;
        while (recv(first, bytes, 8, MSG_DONTWAIT) > 0);
    }
    SHOW(missed);
    show_epoll(level, 0);
    show_epoll(edge, 0);
    return 0;
}
