/* Registrations that are changed back and forth between waits: a set says what was asked last,
 * whoever looks at it, and however. */
#include "check.h"
#include <pthread.h>
static int change(int set, int operation, int fd, unsigned events, long data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, operation, fd, &event);
}
static int taken_out(int fd, int set) {
    SHOW(add(set, fd, EPOLLOUT, 1));
    show_epoll(set, 0);
    return change(set, EPOLL_CTL_DEL, fd, 0, 0);
}
static void *sleeps(void *set) {
    show_epoll(*(int *)set, 5000);
    return NULL;
}
int main(void) {
    int set = epoll_create1(0), fd = dial('e'), pipes[2];
    char bytes[8];
    SHOW(pipe(pipes));
    SHOW(taken_out(fd, set));
    show_epoll(set, 0);
    SHOW(change(set, EPOLL_CTL_DEL, fd, 0, 0));
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLIN, 2));
    SHOW(change(set, EPOLL_CTL_ADD, fd, EPOLLIN, 2));
    SHOW(change(set, EPOLL_CTL_ADD, fd, EPOLLIN, 3));
    SHOW(change(set, 77, fd, EPOLLIN, 3));
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, NULL));
    show_epoll(set, 0);
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, 4));
    show_epoll(set, 0);
    SHOW(write(fd, "ab", 2));
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLIN, 5));
    show_epoll(set, 5000);
    show_epoll(set, 0);
    /* Readable, but nobody asks. */
    SHOW(change(set, EPOLL_CTL_DEL, fd, 0, 0));
    show_epoll(set, 50);
    SHOW(change(set, EPOLL_CTL_ADD, fd, EPOLLIN, 6));
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLIN, 7));
    show_epoll(set, 0);
    SHOW(recv(fd, bytes, 2, MSG_WAITALL));
    show_epoll(set, 0);
    /* Edges and single shots amid the others. */
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLOUT, 8));
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLONESHOT, 9));
    show_epoll(set, 0);
    show_epoll(set, 0);
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLET, 10));
    show_epoll(set, 0);
    show_epoll(set, 0);
    /* What is always ready does not keep a pipe from being told of. */
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLIN, 11));
    SHOW(add(set, pipes[0], EPOLLIN, 12));
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLOUT, 13));
    SHOW(write(pipes[1], "x", 1));
    int of_socket = 0, of_pipe = 0;
    for (int n = 0; n < 20; n++) {
        struct epoll_event event;
        if (epoll_wait(set, &event, 1, 1000) != 1) break;
        of_socket |= event.data.u64 == 13;
        of_pipe |= event.data.u64 == 12;
    }
    SHOW(of_socket);
    SHOW(of_pipe);
    struct epoll_event both[4];
    for (int n = 0; n < 6 && epoll_wait(set, both, 4, 0) < 2; n++);
    SHOW(epoll_ctl(set, EPOLL_CTL_DEL, pipes[0], NULL));
    /* By poll. */
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLIN, 14));
    show_poll(set, POLLIN, 0);
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLOUT, 15));
    show_poll(set, POLLIN, 0);
    SHOW(close(set));
    /* By another set. */
    int inner = epoll_create1(0), outer = epoll_create1(0);
    SHOW(taken_out(fd, inner));
    SHOW(add(outer, inner, EPOLLIN, 16));
    show_epoll(outer, 0);
    SHOW(add(inner, fd, EPOLLOUT, 17));
    show_epoll(outer, 0);
    SHOW(close(inner));
    SHOW(close(outer));
    /* By another number. */
    set = epoll_create1(0);
    SHOW(taken_out(fd, set));
    int copy = dup(set);
    show_epoll(copy, 0);
    SHOW(add(set, fd, EPOLLOUT, 18));
    show_epoll(copy, 0);
    SHOW(close(set));
    SHOW(close(copy));
    /* By a child, which changes it as well. */
    set = epoll_create1(0);
    SHOW(taken_out(fd, set));
    pid_t child = fork();
    if (child == 0) {
        show_epoll(set, 0);
        SHOW(add(set, fd, EPOLLOUT, 19));
        show_epoll(set, 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    show_epoll(set, 0);
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, 20));
    show_epoll(set, 0);
    SHOW(close(set));
    /* By a thread that sleeps. */
    pthread_t thread;
    set = epoll_create1(0);
    SHOW(taken_out(fd, set));
    pthread_create(&thread, NULL, sleeps, &set);
    usleep(100000);
    if (add(set, fd, EPOLLOUT, 21) != 0) return 1;
    pthread_join(thread, NULL);
    SHOW(close(set));
    /* A socket that is closed, and has another number. */
    set = epoll_create1(0);
    int other = dial('e');
    copy = dup(other);
    SHOW(taken_out(other, set));
    SHOW(close(other));
    show_epoll(set, 0);
    other = dup(copy);
    SHOW(taken_out(other, set));
    SHOW(dup2(pipes[0], other) == other);
    show_epoll(set, 0);
    return 0;
}
