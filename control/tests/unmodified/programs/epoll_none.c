/* What is told without being asked for: that a connection has failed, or is over in both directions;
 * and what is asked for of it. */
#include "check.h"
#include <pthread.h>
static void show(const char *what, int set, int timeout) {
    printf("%s: ", what);
    show_epoll(set, timeout);
}
static void *finishes(void *fd) {
    usleep(150000);
    shutdown(*(int *)fd, SHUT_WR);
    return NULL;
}
int main(void) {
    static const unsigned asks[] = {0, EPOLLPRI, EPOLLRDHUP, EPOLLET, EPOLLRDHUP | EPOLLET, EPOLLPRI | EPOLLET};
    for (unsigned n = 0; n < sizeof asks / sizeof *asks; n++) {
        int set = epoll_create1(0), fd;
        printf("asked %#x\n", asks[n]);
        /* It resets while the program sleeps. */
        fd = dial('R');
        SHOW(add(set, fd, asks[n], 1));
        show("alive", set, 0);
        show("reset", set, 5000);
        /* A reset has more than one edge. */
        if (!(asks[n] & EPOLLET)) show("again", set, 0);
        SHOW(close(fd));
        /* It was reset before. */
        fd = dial('r');
        show_poll(fd, POLLRDHUP, 5000);
        SHOW(add(set, fd, asks[n], 2));
        show("reset before", set, 5000);
        show("again", set, 0);
        SHOW(close(fd));
        /* A registration that was for something else. */
        fd = dial('R');
        SHOW(add(set, fd, EPOLLIN, 3));
        struct epoll_event event = {.events = asks[n], .data.u64 = 4};
        SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
        show("changed", set, 5000);
        event.data.u64 = 5;
        SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
        show("again", set, 0);
        event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 6};
        SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
        show("back", set, 0);
        SHOW(close(fd));
        /* One direction ends: nothing, unless that was asked for. */
        fd = dial('c');
        usleep(200000);
        SHOW(add(set, fd, asks[n], 7));
        show("half", set, 50);
        pthread_t thread;
        pthread_create(&thread, NULL, finishes, &fd);
        /* Edges of both halves are the kernel's own. */
        if (asks[n] & (EPOLLET | EPOLLRDHUP)) pthread_join(thread, NULL);
        else show("both", set, 5000);
        if (!(asks[n] & (EPOLLET | EPOLLRDHUP))) pthread_join(thread, NULL);
        usleep(100000);
        if (!(asks[n] & EPOLLET)) show("both", set, 5000);
        SHOW(close(fd));
        SHOW(close(set));
    }
    /* Seen through another set, and by poll. */
    int inner = epoll_create1(0), outer = epoll_create1(0), fd = dial('R');
    SHOW(add(inner, fd, 0, 8));
    SHOW(add(outer, inner, EPOLLIN, 9));
    show("nested", outer, 5000);
    show("inner", inner, 0);
    show("outer", outer, 0);
    show_poll(inner, POLLIN, 0);
    return 0;
}
