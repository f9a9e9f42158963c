/* Whether a connection is there, as programs learn it from getpeername. */
#include "check.h"
static void show_peer(int fd) {
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    SHOW(getpeername(fd, (struct sockaddr *)&name, &length));
}
int main(void) {
    struct sockaddr_in address = far_address();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    show_peer(fd);
    /* A neighbour that does not exist: the handshake goes on for a while. */
    uint32_t there = ntohl(address.sin_addr.s_addr);
    address.sin_addr.s_addr = htonl((there & ~0xffu) | 77);
    int waiting = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect(waiting, (struct sockaddr *)&address, sizeof address));
    show_peer(waiting);
    SHOW(close(waiting));
    address = far_address();
    address.sin_port = htons(9);
    SHOW(connect(fd, (struct sockaddr *)&address, sizeof address));
    show_peer(fd);
    SHOW(close(fd));
    fd = dial('e');
    show_peer(fd);
    SHOW(close(fd));
    fd = dial('r');
    show_poll(fd, POLLRDHUP, 5000);
    usleep(100000);
    show_peer(fd);
    return 0;
}
