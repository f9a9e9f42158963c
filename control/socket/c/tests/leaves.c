/* Sends, and returns from main() with its socket open. */
#include <arpa/inet.h>
#include <braid.h>
#include <stdint.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    int fd;

    if (argc != 3)
        return 2;
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    fd = braid_socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || braid_connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return 1;
    return braid_send(fd, "the last word", 13, 0) != 13;
}
