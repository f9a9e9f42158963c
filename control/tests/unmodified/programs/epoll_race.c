/* One thread changes a set that others wait for: no wake-up is lost. */
#include "check.h"
#include <pthread.h>
static int set, fd, turns = 5000;
static volatile int heard, done;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long late;
static void *waits(void *unused) {
    while (!done) {
        struct epoll_event event;
        int found = epoll_wait(set, &event, 1, 2000);
        if (found == 1 && event.events & EPOLLOUT) __atomic_store_n(&heard, (int)event.data.u64, __ATOMIC_SEQ_CST);
        else if (found == 0 && !done) __atomic_fetch_add(&late, 1, __ATOMIC_SEQ_CST);
    }
    return unused;
}
int main(void) {
    pthread_t threads[2];
    set = epoll_create1(0);
    fd = dial('e');
    SHOW(add(set, fd, EPOLLIN, 0));
    for (int n = 0; n < 2; n++) pthread_create(&threads[n], NULL, waits, NULL);
    int wrong = 0;
    for (int n = 1; n <= turns; n++) {
        struct epoll_event event = {.events = EPOLLOUT, .data.u64 = n};
        if (n % 3) wrong += epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) != 0;
        else {
            wrong += epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL) != 0;
            wrong += epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0;
        }
        for (int m = 0; heard != n; m++) {
            if (m > 1000000) { wrong++; break; }
            if (m > 100) usleep(10);
        }
        event = (struct epoll_event){.events = n & 1 ? EPOLLIN : 0, .data.u64 = n};
        wrong += epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) != 0;
        if (n % 7 == 0) usleep(50);
    }
    done = 1;
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 0};
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
    for (int n = 0; n < 2; n++) pthread_join(threads[n], NULL);
    SHOW(wrong);
    SHOW(late);
    return 0;
}
