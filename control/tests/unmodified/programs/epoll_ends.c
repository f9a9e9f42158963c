/* Ends that come while threads wait, with changes that the kernel was not told, and cancels. */
#include "check.h"
#include <pthread.h>
static int set, fd;
static int change(int operation, unsigned events, long data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, operation, fd, &event);
}
static void *waits(void *unused) {
    struct epoll_event event;
    int found = epoll_wait(set, &event, 1, 5000);
    return (void *)(long)(found == 1 && event.events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP) ? 1 : 0);
}
static void *for_ever(void *unused) {
    struct epoll_event event;
    while (1) {
        change(EPOLL_CTL_MOD, EPOLLIN, 1);
        epoll_wait(set, &event, 1, -1);
        if (event.events & EPOLLIN) return NULL;
    }
}
int main(void) {
    static const char how[] = "Rcrl";
    pthread_t threads[3];
    for (int n = 0; how[n]; n++) {
        for (int first = 0; first < 4; first++) {
            static const unsigned befores[] = {EPOLLIN, EPOLLOUT, 0, EPOLLRDHUP};
            set = epoll_create1(0);
            fd = dial(how[n]);
            add(set, fd, befores[first], 1);
            struct epoll_event event;
            epoll_wait(set, &event, 1, 0);
            change(EPOLL_CTL_DEL, 0, 0);
            change(EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP, 2);
            long woken = 0;
            for (int k = 0; k < 3; k++) pthread_create(&threads[k], NULL, waits, NULL);
            for (int k = 0; k < 3; k++) {
                void *result;
                pthread_join(threads[k], &result);
                woken += (long)result;
            }
            printf("%c %d: %ld\n", how[n], first, woken);
            close(fd);
            close(set);
        }
    }
    set = epoll_create1(0);
    fd = dial('e');
    add(set, fd, EPOLLOUT, 1);
    for (int n = 0; n < 50; n++) {
        void *result;
        change(EPOLL_CTL_MOD, EPOLLOUT, 3);
        pthread_create(&threads[0], NULL, for_ever, NULL);
        usleep(n * 40);
        pthread_cancel(threads[0]);
        pthread_join(threads[0], &result);
        if (result != PTHREAD_CANCELED) printf("not cancelled\n");
    }
    SHOW(change(EPOLL_CTL_MOD, EPOLLOUT, 4));
    show_epoll(set, 1000);
    SHOW(change(EPOLL_CTL_MOD, EPOLLIN, 5));
    show_epoll(set, 50);
    return 0;
}
