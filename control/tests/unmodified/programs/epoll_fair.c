/* Nobody in a set starves, whatever is always ready, also where one event is taken at a time. */
#include "check.h"
#include <sys/eventfd.h>
#include <sys/timerfd.h>
enum { SOCKETS = 6 };
int main(void) {
    int set = epoll_create1(0), counter = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0), pipes[2];
    int sockets[SOCKETS];
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7007)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(bind(listener, (struct sockaddr *)&any, sizeof any));
    SHOW(listen(listener, 4));
    SHOW(pipe(pipes));
    for (int n = 0; n < SOCKETS; n++) {
        sockets[n] = dial('e');
        add(set, sockets[n], EPOLLIN, n);
    }
    SHOW(add(set, counter, EPOLLIN, 20));
    SHOW(add(set, timer, EPOLLIN | EPOLLET, 21));
    SHOW(add(set, pipes[0], EPOLLIN | EPOLLONESHOT, 22));
    SHOW(add(set, listener, EPOLLIN, 23));
    for (int most = 1; most <= 16; most *= 4) {
        int caller = most == 1 ? dial('d') : -1;
        if (caller >= 0) usleep(300000);
        struct itimerspec time = {.it_value = {0, 1}};
        timerfd_settime(timer, 0, &time, NULL);
        struct epoll_event once = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 22};
        epoll_ctl(set, EPOLL_CTL_MOD, pipes[0], &once);
        eventfd_write(counter, 1);
        write(pipes[1], "x", 1);
        usleep(1000);
        int told[32] = {0}, last[32] = {0}, gap = 0;
        for (int n = 0; n < 600; n++) {
            struct epoll_event events[16];
            for (int k = 0; k < SOCKETS; k++) {
                struct epoll_event change = {.events = EPOLLOUT | (n & 1 ? EPOLLIN : 0), .data.u64 = k};
                if (n % 3 == 0) epoll_ctl(set, EPOLL_CTL_MOD, sockets[k], &change);
            }
            int found = epoll_wait(set, events, most, n & 2 ? 1000 : 0);
            if (found < 1) { printf("nothing\n"); return 1; }
            for (int k = 0; k < found; k++) {
                int who = events[k].data.u64;
                if (who < SOCKETS && n - last[who] > gap) gap = n - last[who];
                last[who] = n;
                told[who]++;
            }
        }
        printf("at most %d:", most);
        for (int n = 0; n < 24; n++) if (n < SOCKETS || n >= 20) printf(" %s", told[n] == 1 ? "once" : told[n] ? "often" : "never");
        printf("\n");
        printf("gap %s\n", gap < 100 ? "short" : "long");
        if (gap >= 100) printf("%d\n", gap);
        char byte;
        eventfd_t value;
        eventfd_read(counter, &value);
        read(pipes[0], &byte, 1);
        if (caller >= 0) {
            int got = accept(listener, NULL, NULL);
            show_bytes(got, 5);
            write(got, "answer", 6);
            show_bytes(caller, 6);
        }
    }
    return 0;
}
