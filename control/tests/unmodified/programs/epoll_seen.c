/* A set that others see by the kernel alone before a socket is in it: in another set, under another
 * number, in a child, in another process's hands. What is changed later they see as well. */
#include "check.h"
#include <pthread.h>
static int change(int set, int fd, unsigned events, long data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}
static void *sleeps(void *set) {
    show_poll(*(int *)set, POLLIN, 5000);
    return NULL;
}
static int passed(int fd) {
    int ends[2], got = -1;
    char byte, room[CMSG_SPACE(sizeof fd)];
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    if (pass(ends[0], fd) != 1) return -1;
    if (recvmsg(ends[1], &message, 0) != 1) return -1;
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
    close(ends[0]);
    close(ends[1]);
    return got;
}
int main(void) {
    int fd = dial('e'), inner = epoll_create1(0), outer = epoll_create1(0);
    SHOW(add(outer, inner, EPOLLIN, 1));
    SHOW(add(inner, fd, EPOLLIN, 2));
    SHOW(change(inner, fd, EPOLLOUT, 3));
    show_epoll(outer, 500);
    SHOW(change(inner, fd, EPOLLIN, 4));
    show_epoll(outer, 0);
    SHOW(close(inner));
    SHOW(close(outer));
    int set = epoll_create1(EPOLL_CLOEXEC), copy = dup(set), third = fcntl(set, F_DUPFD, 200);
    SHOW(add(set, fd, EPOLLIN, 5));
    SHOW(change(set, fd, EPOLLOUT, 6));
    show_epoll(copy, 500);
    SHOW(change(set, fd, EPOLLIN, 7));
    show_epoll(third, 0);
    SHOW(change(third, fd, EPOLLOUT, 8));
    show_epoll(set, 500);
    SHOW(close(set));
    SHOW(change(copy, fd, EPOLLOUT, 9));
    show_epoll(third, 500);
    SHOW(close(copy));
    SHOW(close(third));
    /* By a child. */
    int start[2];
    SHOW(pipe(start));
    set = epoll_create(7);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        read(start[0], &byte, 1);
        show_epoll(set, 500);
        _exit(0);
    }
    SHOW(add(set, fd, EPOLLIN, 10));
    SHOW(change(set, fd, EPOLLOUT, 11));
    if (write(start[1], "x", 1) != 1) return 1;
    waitpid(child, NULL, 0);
    SHOW(close(set));
    /* By who gets it. */
    set = epoll_create1(0);
    copy = passed(set);
    SHOW(add(set, fd, EPOLLIN, 12));
    SHOW(change(set, fd, EPOLLOUT, 13));
    show_epoll(copy, 500);
    SHOW(close(set));
    SHOW(close(copy));
    /* By a thread that sleeps in poll(2). */
    pthread_t thread;
    set = epoll_create1(0);
    pthread_create(&thread, NULL, sleeps, &set);
    usleep(100000);
    SHOW(add(set, fd, EPOLLIN, 14));
    if (change(set, fd, EPOLLOUT, 15) != 0) return 1;
    pthread_join(thread, NULL);
    return 0;
}
