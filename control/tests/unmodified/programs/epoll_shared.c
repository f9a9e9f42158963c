/* Two descriptors with the same data in one set: what ends one is not said of the other. */
#include "check.h"
int main(void) {
    int set = epoll_create1(0), alive = dial('e'), dead = dial('r');
    char byte;
    show_poll(dead, POLLRDHUP, 5000);
    SHOW(read(dead, &byte, 1));
    SHOW(add(set, alive, EPOLLIN, 7));
    SHOW(add(set, dead, EPOLLET, 7));
    epoll_wait(set, &(struct epoll_event){0}, 1, 0);
    SHOW(write(alive, "x", 1));
    show_epoll(set, 5000);
    SHOW(read(alive, &byte, 1));
    SHOW(epoll_ctl(set, EPOLL_CTL_DEL, alive, NULL));
    SHOW(close(dead));
    SHOW(add(set, alive, EPOLLOUT, 7));
    show_epoll(set, 5000);
    return 0;
}
