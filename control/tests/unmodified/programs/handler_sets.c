/* Signal handlers amid changes of an epoll set: one writes and closes, one jumps out of them. */
#include "check.h"
#include <setjmp.h>
static int fd, other;
static volatile long handled, jumped;
static sigjmp_buf out;
static void writes(int number) {
    (void)number;
    int before = errno, copy = dup(other);
    if (send(copy, "h", 1, MSG_DONTWAIT) == 1) handled++;
    close(copy);
    errno = before;
}
static void jumps(int number) {
    (void)number;
    jumped++;
    siglongjmp(out, 1);
}
static int wrong;
static void turn(int set) {
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 1};
    if (epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) != 0) wrong++;
    int ready = epoll_wait(set, &event, 1, 1000);
    if (ready != 1 && errno != EINTR) wrong++;
    event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 2};
    if (epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) != 0) wrong++;
    if (epoll_wait(set, &event, 1, 0) > 0) wrong++;
}
static void every(long microseconds) {
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}
int main(void) {
    int set = epoll_create1(0);
    fd = dial('e');
    other = dial('e');
    SHOW(add(set, fd, EPOLLIN, 2));
    turn(set);
    struct sigaction action = {.sa_handler = writes, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    every(200);
    while (handled < 200) turn(set);
    every(0);
    SHOW(wrong);
    action.sa_handler = jumps;
    sigaction(SIGALRM, &action, NULL);
    sigsetjmp(out, 1);
    every(jumped < 200 ? 200 : 0);
    while (jumped < 200) {
        struct epoll_event change = {.events = EPOLLIN | (jumped & 1 ? EPOLLOUT : 0), .data.u64 = 4};
        if (epoll_ctl(set, EPOLL_CTL_MOD, fd, &change) != 0) wrong++;
    }
    SHOW(wrong);
    SHOW(write(fd, "end", 3));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 3};
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
    show_epoll(set, 5000);
    show_bytes(fd, 3);
    return 0;
}
