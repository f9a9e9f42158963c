/* What poll says of a socket in each state of its life, and what the calls fail with. */
#include "check.h"
static const short ALL = POLLIN | POLLOUT | POLLRDHUP;
int main(void) {
    char byte;
    int fd = dial('e');
    show_poll(fd, ALL, 0);
    SHOW(write(fd, "x", 1));
    show_poll(fd, POLLIN, 5000);
    SHOW(recv(fd, &byte, 1, MSG_PEEK));
    int unread = -1;
    SHOW(ioctl(fd, FIONREAD, &unread));
    SHOW(unread);
    SHOW(read(fd, &byte, 1));
    show_poll(fd, POLLIN, 0);
    SHOW(recv(fd, &byte, 1, MSG_DONTWAIT));
    struct timeval time = {0, 20000};
    SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    SHOW(recv(fd, &byte, 1, 0));
    SHOW(shutdown(fd, SHUT_WR));
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(fd, "x", 1));
    show_poll(fd, POLLRDHUP, 5000);
    usleep(100000);
    show_poll(fd, ALL, 0);
    SHOW(read(fd, &byte, 1));
    /* A peer that closes. */
    fd = dial('c');
    show_poll(fd, POLLIN, 5000);
    show_bytes(fd, 100);
    show_poll(fd, ALL, 0);
    SHOW(close(fd));
    /* A peer that resets. */
    fd = dial('r');
    show_poll(fd, POLLRDHUP, 5000);
    usleep(100000);
    show_poll(fd, ALL, 0);
    SHOW(read(fd, &byte, 1));
    SHOW(read(fd, &byte, 1));
    SHOW(close(fd));
    /* Nobody there. */
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in nobody = far_address();
    nobody.sin_port = htons(9);
    int made = connect(fd, (struct sockaddr *)&nobody, sizeof nobody);
    if (made < 0 && errno == EINPROGRESS) {
        struct pollfd entry = {.fd = fd, .events = POLLOUT};
        SHOW(poll(&entry, 1, 5000));
        int error = 0;
        socklen_t length = sizeof error;
        SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
        printf("%s\n", strerrorname_np(error));
    } else {
        /* Loopback says so at once. */
        printf("poll(&entry, 1, 5000) = 1\ngetsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) = 0\n%s\n",
               strerrorname_np(errno));
    }
    SHOW(read(-1, &byte, 1));
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    fd = dial('e');
    SHOW(getpeername(fd, (struct sockaddr *)&name, &length));
    SHOW(length);
    SHOW(ntohs(name.sin_port) == atoi(getenv("FAR_PORT")));
    errno = EDOM;
    SHOW((write(fd, "x", 1), errno));
    return 0;
}
