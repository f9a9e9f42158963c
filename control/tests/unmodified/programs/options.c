/* Options that are set before the socket has an address, while it is connected, and by accept. */
#include "check.h"
static void show_option(int fd, const char *what, int level, int name) {
    int value = -7;
    socklen_t length = sizeof value;
    int result = getsockopt(fd, level, name, &value, &length);
    printf("%s = %d, %d, %u\n", what, result, value, length);
}
int main(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, nine = 9;
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
    SHOW(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &nine, sizeof nine));
    SHOW(setsockopt(fd, IPPROTO_TCP, 9999, &one, sizeof one));
    struct sockaddr_in address = far_address();
    SHOW(connect(fd, (struct sockaddr *)&address, sizeof address));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
    show_option(fd, "nodelay", IPPROTO_TCP, TCP_NODELAY);
    show_option(fd, "keepalive", SOL_SOCKET, SO_KEEPALIVE);
    show_option(fd, "keepidle", IPPROTO_TCP, TCP_KEEPIDLE);
    show_option(fd, "type", SOL_SOCKET, SO_TYPE);
    show_option(fd, "domain", SOL_SOCKET, SO_DOMAIN);
    show_option(fd, "error", SOL_SOCKET, SO_ERROR);
    show_option(fd, "none", IPPROTO_TCP, 9999);
    SHOW(connect(fd, (struct sockaddr *)&address, sizeof address));
    SHOW(listen(fd, 1));
    return 0;
}
