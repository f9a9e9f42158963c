/* A client in C: it sends its second argument to port `argv[1]`, closes its half, and prints the echo. */
#include <arpa/inet.h>
#include <braid.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    char buffer[256];
    size_t received = 0;
    int fd, value = 0;
    socklen_t length = sizeof value;

    if (argc != 4)
        return 2;
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    fd = braid_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0 || braid_connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        perror("connect");
        return 1;
    }
    if (braid_getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) < 0 || value != SOCK_STREAM)
        return 1;
    struct iovec parts[4] = { { argv[3], 1 }, { argv[3] + 1, 1 }, { argv[3] + 2, 1 },
                              { argv[3] + 3, strlen(argv[3]) - 3 } };
    struct mmsghdr messages[2] = { { .msg_hdr = { .msg_iov = parts + 2, .msg_iovlen = 1 } },
                                   { .msg_hdr = { .msg_iov = parts + 3, .msg_iovlen = 1 } } };
    if (braid_writev(fd, parts, 2) != 2 || braid_sendmmsg(fd, messages, 2, 0) != 2)
        return 1;
    if (messages[1].msg_len != strlen(argv[3]) - 3 || braid_shutdown(fd, SHUT_WR) < 0)
        return 1;
    parts[2] = (struct iovec){ buffer, 2 };
    parts[3] = (struct iovec){ buffer + 2, 3 };
    if (braid_recvmmsg(fd, messages, 2, MSG_WAITALL, NULL) != 2 || messages[1].msg_len != 3)
        return 1;
    received = 5;
    for (;;) {
        struct pollfd entry = { .fd = fd, .events = POLLIN };
        if (braid_poll(&entry, 1, 5000) != 1)
            return 1;
        ssize_t count = braid_recv(fd, buffer + received, sizeof buffer - received, MSG_DONTWAIT);
        if (count < 0) {
            perror("recv");
            return 1;
        }
        if (count == 0)
            break;
        received += (size_t)count;
    }
    if (braid_send(fd, NULL, 3, MSG_NOSIGNAL) != -1 || errno != EFAULT)
        return 1;
    printf("%.*s", (int)received, buffer);
    return braid_close(fd) < 0;
}
