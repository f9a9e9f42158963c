/* What a sleeper sees of its connections' end by no fault of its own, and what the next call says. The far
 * end resets them if BY is 'R'; otherwise something else ends them, once the file READY is there. */
#include "check.h"

enum way { POLL, SELECT, LEVEL, EDGE, NESTED, NOTHING, SHARED, WAYS };

static void sleep_and_see(enum way way, int ready) {
    static const char *names[] = {"poll", "select", "level", "edge", "nested", "nothing", "shared data"};
    int fd = dial(getenv("BY")[0]), other = way == SHARED ? dial(getenv("BY")[0]) : -1, set = epoll_create1(0);
    if (way >= LEVEL) add(set, fd, way == NOTHING ? 0 : EPOLLIN | EPOLLRDHUP | (way == EDGE ? EPOLLET : 0), 5);
    if (way == SHARED) add(set, other, EPOLLIN | EPOLLRDHUP, 5);
    write(ready, "r", 1);
    printf("%s\n", names[way]);
    if (way == POLL) {
        show_poll(fd, POLLIN, 20000);
    } else if (way == SELECT) {
        fd_set in, out;
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_SET(fd, &in);
        struct timeval time = {20, 0};
        SHOW(select(fd + 1, &in, NULL, NULL, &time));
        FD_SET(fd, &in);
        FD_SET(fd, &out);
        SHOW(select(fd + 1, &in, &out, NULL, &time));
    } else if (way == NESTED) {
        int outer = epoll_create1(0);
        add(outer, set, EPOLLIN, 6);
        show_epoll(outer, 20000);
        show_epoll(set, 0);
    } else {
        show_epoll(set, 20000);
    }
    /* Of two connections the far end resets one before the other. */
    if (way != SHARED) SHOW(send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    if (way == EDGE) show_epoll(set, 0);
    SHOW(close(fd));
}

int main(void) {
    int ready[2], printed[WAYS][2];
    pipe(ready);
    for (enum way way = 0; way < WAYS; way++) {
        pipe(printed[way]);
        if (fork() == 0) {
            dup2(printed[way][1], STDOUT_FILENO);
            sleep_and_see(way, ready[1]);
            _exit(0);
        }
        close(printed[way][1]);
    }
    char bytes[4096];
    for (int n = 0; n < WAYS; n++) read(ready[0], bytes, 1);
    if (getenv("READY")) close(creat(getenv("READY"), 0600));
    for (enum way way = 0; way < WAYS; way++) {
        ssize_t count;
        while ((count = read(printed[way][0], bytes, sizeof bytes)) > 0) write(STDOUT_FILENO, bytes, count);
    }
    while (wait(NULL) > 0) {}
    return 0;
}
