/* What a poll sees that asked for nothing, or only for room, when its connection is reset or its peer closes. */
#include "check.h"

/* Sends until there is no room. Says whether the connection was still there: if not, the send has taken
 * the error that a poll was to see. */
static int fill(int fd) {
    char bytes[4096] = {0};
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {}
    return errno == EAGAIN;
}

/* What a poll for room on a full connection sees of a reset. */
static int room_at_reset(void) {
    for (;;) {
        int fd = dial('R');
        struct pollfd entry = {.fd = fd, .events = POLLOUT};
        /* The far end's kernel takes some more before it is reset. */
        while (fill(fd)) {
            poll(&entry, 1, 20000);
            if (entry.revents & POLLHUP) {
                close(fd);
                return entry.revents;
            }
        }
        close(fd);
    }
}

int main(void) {
    int fd = dial('R');
    printf("nothing, reset\n");
    show_poll(fd, 0, 20000);
    show_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
    close(fd);

    printf("room, reset\n");
    SHOW(room_at_reset());

    fd = dial('R');
    printf("exceptional data, reset\n");
    show_poll(fd, POLLPRI, 20000);
    close(fd);

    fd = dial('c');
    show_poll(fd, POLLRDHUP, 20000);
    printf("nothing, the peer has closed\n");
    show_poll(fd, 0, 300);
    SHOW(shutdown(fd, SHUT_WR));
    show_poll(fd, 0, 20000);
    close(fd);
    return 0;
}
