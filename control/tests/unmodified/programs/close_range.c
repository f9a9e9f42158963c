/* close_range and closefrom over sockets, and a program that closes all numbers before its next. */
#include "check.h"
int main(void) {
    int fds[5];
    for (int n = 0; n < 5; n++) fds[n] = dial('e');
    SHOW(close_range(fds[1], fds[2], 0));
    SHOW(write(fds[1], "x", 1));
    SHOW(write(fds[2], "x", 1));
    SHOW(write(fds[3], "stays", 5));
    show_bytes(fds[3], 5);
    SHOW(close_range(fds[3], fds[3], CLOSE_RANGE_CLOEXEC));
    SHOW(fcntl(fds[3], F_GETFD));
    SHOW(write(fds[3], "still", 5));
    show_bytes(fds[3], 5);
    SHOW(close_range(9, 8, 0));
    for (int fd = 3; fd < 1100; fd++) close(fd);
    int again = dial('e');
    SHOW(again);
    SHOW(write(again, "again", 5));
    show_bytes(again, 5);
    closefrom(3);
    SHOW(write(again, "x", 1));
    again = dial('e');
    SHOW(write(again, "third", 5));
    show_bytes(again, 5);
    return 0;
}
