/* A socket whose connect has failed connects again, with the address that it was bound to. */
#include "check.h"
static const short ALL = POLLIN | POLLOUT | POLLRDHUP;
static struct sockaddr_in at(int port) {
    struct sockaddr_in address = far_address();
    address.sin_port = htons(port);
    return address;
}
static void show_error(int fd) {
    int error = -1;
    socklen_t length = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    printf("SO_ERROR %s\n", error == 0 ? "0" : strerrorname_np(error));
}
static int port_of(int fd) {
    struct sockaddr_in name = {0};
    socklen_t length = sizeof name;
    getsockname(fd, (struct sockaddr *)&name, &length);
    return ntohs(name.sin_port);
}
int main(void) {
    struct sockaddr_in nobody = at(9), far = at(atoi(getenv("FAR_PORT"))), name;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7011)};
    struct sockaddr_in nowhere = {.sin_family = AF_INET, .sin_port = htons(80)};
    inet_pton(AF_INET, "192.0.2.1", &nowhere.sin_addr);
    socklen_t length = sizeof name;
    char byte;
    signal(SIGPIPE, SIG_IGN);
    for (int bound = 0; bound < 2; bound++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, set = epoll_create1(0);
        if (bound) {
            SHOW(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
            SHOW(bind(fd, (struct sockaddr *)&any, sizeof any));
            /* No route: told at once. */
            SHOW(connect(fd, (struct sockaddr *)&nowhere, sizeof nowhere));
            show_error(fd);
            show_poll(fd, ALL, 0);
            SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
            SHOW(connect(fd, (struct sockaddr *)&nowhere, sizeof nowhere));
            show_poll(fd, ALL, 0);
            SHOW(add(set, fd, EPOLLIN | EPOLLOUT, 7));
            show_epoll(set, 0);
            SHOW(fcntl(fd, F_SETFL, 0));
        }
        for (int n = 0; n < 3; n++) {
            SHOW(connect(fd, (struct sockaddr *)&nobody, sizeof nobody));
            show_error(fd);
            show_poll(fd, ALL, 0);
            SHOW(getpeername(fd, (struct sockaddr *)&name, &length));
            SHOW(read(fd, &byte, 1));
            SHOW(write(fd, "x", 1));
        }
        SHOW(connect(fd, (struct sockaddr *)&far, sizeof far));
        if (bound) SHOW(port_of(fd));
        show_error(fd);
        show_poll(fd, ALL, 0);
        SHOW(write(fd, "eagain", 6));
        show_bytes(fd, 5);
        SHOW(connect(fd, (struct sockaddr *)&far, sizeof far));
        close(set);
        close(fd);
    }
    return 0;
}
