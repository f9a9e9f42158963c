/* A socket is passed to another process, which did not have it, and back. */
#include "check.h"
static int take(int by) {
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    SHOW(recvmsg(by, &message, 0));
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}
int main(void) {
    int pair[2], status;
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SHOW(sendmmsg(pair[0], NULL, 1, 0));
    SHOW(pass(pair[0], -1));
    pid_t child = fork();
    if (child == 0) {
        close(pair[0]);
        int fd = take(pair[1]);
        SHOW(write(fd, "child", 5));
        show_bytes(fd, 5);
        int own = dial('e');
        SHOW(pass(pair[1], own));
        exit(0);
    }
    close(pair[1]);
    int fd = dial('e');
    /* The child prints from here on, to its end. */
    long passed = pass(pair[0], fd);
    waitpid(child, &status, 0);
    SHOW(passed);
    int got = take(pair[0]);
    SHOW(write(got, "passed", 6));
    show_bytes(got, 6);
    SHOW(write(fd, "mine", 4));
    show_bytes(fd, 4);
    return 0;
}
