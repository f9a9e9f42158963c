/* Sockets of addresses that are the kernel's. */
#include "check.h"
int main(void) {
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(fd, (struct sockaddr *)&local, sizeof local));
    local.sin_port = htons(7008);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(bind(fd, (struct sockaddr *)&local, sizeof local));
    fd = dial('e');
    SHOW(write(fd, "x", 1));
    show_bytes(fd, 1);
    return 0;
}
