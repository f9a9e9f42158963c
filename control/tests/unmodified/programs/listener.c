/* A server: epoll over a listener and what it accepts, in a parent and a child that share it. */
#include "check.h"
int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, set = epoll_create1(0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7007)};
    SHOW(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SHOW(bind(listener, (struct sockaddr *)&any, sizeof any));
    SHOW(listen(listener, 16));
    SHOW(accept(listener, NULL, NULL));
    SHOW(add(set, listener, EPOLLIN, 1));
    show_epoll(set, 0);
    /* The far end dials back. */
    int control = dial('d');
    show_epoll(set, 5000);
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    SHOW(length);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
    show_epoll(set, 0);
    show_poll(fd, POLLIN, 5000);
    show_bytes(fd, 5);
    SHOW(write(fd, "answer", 6));
    show_poll(control, POLLIN, 5000);
    show_bytes(control, 6);
    close(fd);
    close(control);
    int status;
    pid_t child = fork();
    if (child == 0) {
        show_epoll(set, 5000);
        fd = accept(listener, NULL, NULL);
        show_bytes(fd, 5);
        SHOW(write(fd, "child!", 6));
        exit(0);
    }
    control = dial('d');
    waitpid(child, &status, 0);
    show_bytes(control, 6);
    SHOW(accept(listener, NULL, NULL));
    SHOW(close(listener));
    return 0;
}
