/* One connection that nobody else wakes anything for: a wake-up that is lost is found by no other, and
 * costs as long as the engine sleeps at most, a quarter of a second. */
#include "check.h"
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

enum way { BLOCKING, POLLING, LEVEL, EDGE, WAYS };

int main(void) {
    long slow = 0, wrong = 0;
    for (enum way way = 0; way < WAYS; way++) {
        int fd = dial('e'), set = epoll_create1(0);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (way != BLOCKING) fcntl(fd, F_SETFL, O_NONBLOCK);
        if (way >= LEVEL) add(set, fd, EPOLLIN | (way == EDGE ? EPOLLET : 0), 1);
        for (int n = 0; n < 4000; n++) {
            double start = now();
            char byte = (char)n, back;
            if (write(fd, &byte, 1) != 1) wrong++;
            for (;;) {
                struct epoll_event event;
                struct pollfd entry = {.fd = fd, .events = POLLIN};
                if (way == POLLING) poll(&entry, 1, 5000);
                if (way >= LEVEL && epoll_wait(set, &event, 1, 5000) != 1) wrong++;
                ssize_t count = read(fd, &back, 1);
                if (count == 1) break;
                if (count == 0 || errno != EAGAIN || now() - start > 4) {
                    wrong++;
                    break;
                }
            }
            if (back != byte) wrong++;
            if (now() - start > 0.2) slow++;
        }
        SHOW(close(fd));
    }
    SHOW(wrong);
    /* A busy machine may do that once; what is lost is lost again and again. */
    SHOW(slow <= 2);
    return 0;
}
