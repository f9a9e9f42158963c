/* What a poll sees that asked for nothing, or only for room, when its connection is reset or its peer closes. */
#include "check.h"

/* Sends until there is no room. */
static void fill(int fd) {
    char bytes[4096] = {0};
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {}
}

int main(void) {
    int fd = dial('R');
    printf("nothing, reset\n");
    show_poll(fd, 0, 20000);
    show_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
    close(fd);

    fd = dial('R');
    fill(fd);
    printf("room, reset\n");
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    do {
        /* The far end's kernel takes some more before it is reset. */
        fill(fd);
        poll(&entry, 1, 20000);
    } while (!(entry.revents & POLLHUP));
    SHOW(entry.revents);
    close(fd);

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
