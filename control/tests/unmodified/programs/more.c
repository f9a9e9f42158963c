/* MSG_MORE and TCP_CORK: what waits for more, and how it is let go. */
#include "check.h"

/* Whether a first answer comes while the last bytes may still wait. */
static void soon(int fd) { show_poll(fd, POLLIN, 60); }

int main(void) {
    int fd = dial('e'), on = 1, off = 0;
    SHOW(send(fd, "a", 1, MSG_MORE));
    soon(fd);
    SHOW(send(fd, "b", 1, MSG_MORE));
    SHOW(send(fd, "c", 1, 0));
    show_bytes(fd, 3);
    /* Without being let go it waits for a while only. */
    SHOW(send(fd, "late", 4, MSG_MORE));
    soon(fd);
    show_bytes(fd, 4);
    /* What was sent before it does not wait with it. */
    SHOW(send(fd, "now", 3, 0));
    show_bytes(fd, 3);
    struct iovec part = {"more", 4};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    SHOW(sendmsg(fd, &message, MSG_MORE));
    soon(fd);
    SHOW(write(fd, "!", 1));
    show_bytes(fd, 5);
    /* TCP_CORK holds back as well, and is what it was before. */
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    SHOW(send(fd, "x", 1, 0));
    soon(fd);
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
    show_bytes(fd, 1);
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    SHOW(send(fd, "forgotten", 9, 0));
    show_bytes(fd, 9);
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
    /* The end lets everything go. */
    SHOW(send(fd, "end", 3, MSG_MORE));
    SHOW(shutdown(fd, SHUT_WR));
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    SHOW(poll(&entry, 1, 100));
    show_bytes(fd, 4);
    return 0;
}
