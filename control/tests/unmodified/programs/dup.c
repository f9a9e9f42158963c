/* Copies of a descriptor are one socket: they share O_NONBLOCK and the stream, and it lives as long
 * as one of them. A copy made before connect is one, too. */
#include "check.h"
int main(void) {
    int early = socket(AF_INET, SOCK_STREAM, 0), copy = dup(early);
    struct sockaddr_in address = far_address();
    SHOW(connect(early, (struct sockaddr *)&address, sizeof address));
    SHOW(write(copy, "e", 1));
    SHOW(write(copy, "ab", 2));
    show_bytes(early, 2);
    SHOW(fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK));
    SHOW(fcntl(early, F_GETFL) & O_NONBLOCK);
    char byte;
    SHOW(read(early, &byte, 1));
    int off = 0;
    SHOW(ioctl(early, FIONBIO, &off));
    SHOW(fcntl(copy, F_GETFL) & O_NONBLOCK);
    int third = fcntl(copy, F_DUPFD_CLOEXEC, 200);
    SHOW(third);
    SHOW(fcntl(third, F_GETFD));
    SHOW(fcntl(copy, F_GETFD));
    SHOW(close(early));
    SHOW(close(copy));
    SHOW(write(copy, "x", 1));
    SHOW(write(third, "cd", 2));
    show_bytes(third, 2);
    SHOW(shutdown(third, SHUT_WR));
    show_bytes(third, 1);
    SHOW(close(third));
    SHOW(close(third));
    return 0;
}
