/* A socket that epoll calls readable is: programs take EAGAIN then for a failure (wrk does). */
#include "check.h"
int main(void) {
    long nothing = 0, bytes = 0;
    int set = epoll_create1(0), fd = dial('f'), done = 0;
    static char buffer[1 << 16];
    SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
    SHOW(add(set, fd, EPOLLIN, 1));
    while (!done) {
        struct epoll_event event;
        if (epoll_wait(set, &event, 1, 10000) != 1) break;
        ssize_t count = read(fd, buffer, sizeof buffer);
        if (count < 0 && errno == EAGAIN) nothing++;
        else if (count <= 0) done = 1;
        else bytes += count;
    }
    SHOW(nothing);
    SHOW(bytes);
    SHOW(done);
    return 0;
}
