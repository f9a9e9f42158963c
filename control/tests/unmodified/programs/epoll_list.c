/* What comes to one socket of a set while a thread sleeps for others: none is passed over, whoever
 * has changed or left the set. */
#include "check.h"
#include <pthread.h>
static int set, fds[5];
static int change(int fd, unsigned events, long data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}
static void echo(int fd) {
    char byte;
    if (write(fd, "x", 1) != 1 || recv(fd, &byte, 1, MSG_PEEK) != 1) exit(2);
}
static void drain(int fd) {
    char bytes[64];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {}
}
/* First to one that nobody hears of, then to one that somebody sleeps for. */
static void *two(void *unused) {
    (void)unused;
    usleep(100000);
    if (write(fds[0], "x", 1) != 1) exit(2);
    usleep(100000);
    if (write(fds[1], "x", 1) != 1) exit(2);
    return NULL;
}
static void *changes(void *unused) {
    usleep(100000);
    if (change(fds[0], 0, 0) != 0) exit(2);
    return two(unused);
}
static void sleep_beside(void *(*work)(void *)) {
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    show_epoll(set, 5000);
    pthread_join(thread, NULL);
    drain(fds[0]);
    drain(fds[1]);
}
int main(void) {
    set = epoll_create1(0);
    for (int n = 0; n < 5; n++) {
        fds[n] = dial('e');
        if (add(set, fds[n], EPOLLIN, n) != 0) return 1;
    }
    /* Again and again while something is left. */
    for (int n = 0; n < 5; n++) echo(fds[n]);
    int heard = 0;
    for (int turn = 0; turn < 20; turn++) {
        struct epoll_event events[2];
        int found = epoll_wait(set, events, 2, 0);
        for (int k = 0; k < found; k++) heard |= 1 << events[k].data.u64;
    }
    SHOW(heard);
    for (int n = 0; n < 5; n++) drain(fds[n]);
    show_epoll(set, 0);
    for (int n = 0; n < 200; n++) {
        if (write(fds[n % 5], "x", 1) != 1) return 1;
        struct epoll_event event;
        if (epoll_wait(set, &event, 1, 5000) != 1 || event.data.u64 != (unsigned)n % 5) return 1;
        drain(fds[n % 5]);
    }
    /* One that asks for nothing any more. */
    SHOW(change(fds[0], EPOLLOUT, 0));
    show_epoll(set, 0);
    SHOW(change(fds[0], 0, 0));
    sleep_beside(two);
    SHOW(change(fds[0], EPOLLIN, 0));
    sleep_beside(changes);
    SHOW(change(fds[0], EPOLLIN, 0));
    /* Edges: of what is there, and of what comes behind it. */
    echo(fds[2]);
    SHOW(change(fds[2], EPOLLIN | EPOLLET, 2));
    show_epoll(set, 500);
    show_epoll(set, 0);
    if (write(fds[2], "x", 1) != 1) return 1;
    show_epoll(set, 5000);
    show_epoll(set, 0);
    drain(fds[2]);
    /* Another set, and sockets that were in the first. */
    SHOW(close(set));
    set = epoll_create1(0);
    SHOW(add(set, fds[1], EPOLLIN, 1));
    sleep_beside(two);
    SHOW(close(set));
    /* By two numbers, of which one is closed. */
    set = epoll_create1(0);
    int copy = dup(fds[1]);
    SHOW(add(set, fds[1], EPOLLIN, 1));
    SHOW(add(set, copy, EPOLLIN, 6));
    SHOW(epoll_ctl(set, EPOLL_CTL_DEL, fds[1], NULL));
    if (write(copy, "x", 1) != 1) return 1;
    show_epoll(set, 5000);
    drain(copy);
    SHOW(close(copy));
    if (write(fds[1], "x", 1) != 1) return 1;
    show_poll(fds[1], POLLIN, 5000);
    drain(fds[1]);
    SHOW(close(set));
    /* By a child, of what has come before it was there. */
    set = epoll_create1(0);
    SHOW(add(set, fds[1], EPOLLIN, 1));
    show_epoll(set, 0);
    echo(fds[1]);
    pid_t child = fork();
    if (child == 0) {
        show_epoll(set, 500);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    show_epoll(set, 500);
    drain(fds[1]);
    if (write(fds[1], "x", 1) != 1) return 1;
    show_epoll(set, 5000);
    return 0;
}
