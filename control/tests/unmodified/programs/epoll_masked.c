/* Waits that let signals in, between others that do not: edges are told by either; and times. */
#include "check.h"
#include <sys/eventfd.h>
#include <time.h>
static volatile int handled;
static void handler(int number) { handled += number != 0; }
static long now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}
int main(void) {
    int set = epoll_create1(0), fd = dial('e'), counter = eventfd(0, EFD_NONBLOCK);
    struct epoll_event events[4];
    sigset_t mask, old;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, &old);
    signal(SIGUSR1, handler);
    SHOW(add(set, fd, EPOLLOUT, 1));
    SHOW(add(set, counter, EPOLLIN | EPOLLET, 2));
    show_epoll(set, 100);
    int edges = 0, none = 0;
    for (int n = 0; n < 12; n++) {
        struct epoll_event change = {.events = EPOLLOUT, .data.u64 = 1};
        SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &change));
        for (int m = 0; m < n % 5; m++) {
            int found = epoll_wait(set, events, 1, 0);
            for (int k = 0; k < found; k++) edges += events[k].data.u64 == 2;
        }
        eventfd_write(counter, 1);
        int found = epoll_pwait(set, events, 4, n & 1 ? 0 : 100, &old);
        for (int k = 0; k < found; k++) edges += events[k].data.u64 == 2;
        none += found < 1;
        /* What was left for the next. */
        found = epoll_wait(set, events, 4, 0);
    }
    SHOW(none);
    SHOW(edges);
    struct epoll_event change = {.events = EPOLLIN, .data.u64 = 3};
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &change));
    SHOW(kill(getpid(), SIGUSR1));
    SHOW(epoll_pwait(set, events, 4, 1000, &old));
    SHOW(handled);
    /* Signals in the middle of a sleep. */
    if (fork() == 0) {
        usleep(200000);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    SHOW(epoll_pwait(set, events, 4, 5000, &old));
    SHOW(handled);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (fork() == 0) {
        usleep(200000);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    SHOW(epoll_wait(set, events, 4, 5000));
    SHOW(handled);
    /* Times, with a change that the kernel does not know, in three ways; and no busy waiting. */
    for (int n = 0; n < 4; n++) {
        struct epoll_event change = {.events = n & 1 ? EPOLLIN : 0, .data.u64 = 4};
        SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &change));
        struct timespec time = {0, 250000000};
        long begun = now(CLOCK_MONOTONIC), used = now(CLOCK_PROCESS_CPUTIME_ID);
        SHOW(n < 2 ? epoll_wait(set, events, 4, 250) : epoll_pwait2(set, events, 4, &time, NULL));
        long took = now(CLOCK_MONOTONIC) - begun;
        used = now(CLOCK_PROCESS_CPUTIME_ID) - used;
        SHOW(took >= 249000 && took < 2000000);
        SHOW(used < 100000);
    }
    long begun = now(CLOCK_MONOTONIC);
    struct timespec brief = {0, 50000};
    for (int n = 0; n < 20; n++) if (epoll_pwait2(set, events, 4, &brief, NULL) != 0) return 1;
    SHOW(now(CLOCK_MONOTONIC) - begun >= 1000);
    SHOW(epoll_wait(set, events, 0, 0));
    SHOW(epoll_wait(set, events, -1, 0));
    SHOW(epoll_wait(fd, events, 1, 0));
    return 0;
}
