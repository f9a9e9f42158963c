/* A socket in a set in a set. */
#include "check.h"
int main(void) {
    int inner = epoll_create1(0), outer = epoll_create1(EPOLL_CLOEXEC), fd = dial('e'), later = dial('l');
    char byte;
    SHOW(add(inner, fd, EPOLLIN, 1));
    SHOW(add(outer, inner, EPOLLIN, 2));
    show_epoll(outer, 0);
    SHOW(write(fd, "x", 1));
    show_epoll(outer, 5000);
    show_epoll(inner, 0);
    show_poll(outer, POLLIN, 0);
    SHOW(read(fd, &byte, 1));
    show_epoll(outer, 0);
    show_poll(inner, POLLIN, 0);
    /* What comes later wakes a sleeper. */
    SHOW(add(inner, later, EPOLLIN, 3));
    show_epoll(outer, 5000);
    show_epoll(inner, 0);
    show_bytes(later, 4);
    SHOW(epoll_ctl(inner, EPOLL_CTL_DEL, fd, NULL));
    SHOW(epoll_ctl(inner, EPOLL_CTL_DEL, fd, NULL));
    /* Registered before connect, with the kernel's and the engine's in one set. */
    int early = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), pipes[2];
    struct sockaddr_in address = far_address();
    SHOW(pipe(pipes));
    SHOW(add(inner, pipes[0], EPOLLIN, 4));
    SHOW(add(inner, early, EPOLLOUT, 5));
    int made = connect(early, (struct sockaddr *)&address, sizeof address);
    if (made < 0 && errno != EINPROGRESS) perror("connect");
    usleep(100000);
    show_epoll(inner, 5000);
    SHOW(write(pipes[1], "x", 1));
    struct epoll_event events[4];
    SHOW(epoll_wait(inner, events, 4, 0));
    return 0;
}
