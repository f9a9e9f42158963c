/* Handlers that change the set that they interrupt the use of, however they were installed. */
#include "check.h"
#include <sys/syscall.h>
static int set, fd, other, pipes[2];
static volatile long handled, failed;
static volatile int on;
static void changes(int number) {
    (void)number;
    int before = errno;
    struct epoll_event event = {.events = handled & 1 ? EPOLLIN : EPOLLOUT, .data.u64 = 2};
    if (epoll_ctl(set, EPOLL_CTL_MOD, other, &event) != 0) failed++;
    on = !(handled & 1);
    handled++;
    errno = before;
}
static void closes(int number) {
    (void)number;
    int before = errno, copy = dup(other), mine = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLOUT};
    if (epoll_ctl(mine, EPOLL_CTL_ADD, copy, &event) != 0) failed++;
    if (epoll_ctl(set, EPOLL_CTL_ADD, copy, &event) != 0) failed++;
    close(copy);
    close(mine);
    /* The socket lives on by another number, and so does the registration. */
    if (epoll_ctl(set, EPOLL_CTL_DEL, copy, &event) == 0 || errno != EBADF) failed++;
    handled++;
    errno = before;
}
static void every(long microseconds) {
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}
static long wrong;
static void turn(void) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1}, events[8];
    if (epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) != 0) wrong++;
    if (epoll_wait(set, events, 8, 0) < 0 && errno != EINTR) wrong++;
    event.events = EPOLLOUT;
    if (epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) != 0) wrong++;
    if (epoll_wait(set, events, 8, 1000) < 1 && errno != EINTR) wrong++;
}
int main(void) {
    struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } raw = {0};
    struct sigaction action = {.sa_handler = changes, .sa_flags = SA_RESTART}, before;
    set = epoll_create1(0);
    fd = dial('e');
    other = dial('e');
    SHOW(add(set, fd, EPOLLIN, 1));
    SHOW(add(set, other, EPOLLIN, 2));
    turn();
    sigaction(SIGALRM, &action, NULL);
    for (int n = 0; n < 300; n++) {
        long seen = handled;
        every(20 + n % 200);
        while (handled < seen + 3) turn();
        every(0);
        usleep(100);
        struct epoll_event events[8];
        struct epoll_event quiet = {.events = 0, .data.u64 = 1};
        if (epoll_ctl(set, EPOLL_CTL_MOD, fd, &quiet) != 0) wrong++;
        int found = epoll_wait(set, events, 8, 0), told = 0;
        for (int k = 0; k < found; k++) told |= events[k].data.u64 == 2 && events[k].events & EPOLLOUT;
        if (told != on) wrong++;
    }
    SHOW(wrong);
    SHOW(failed);
    return 0;
}
