/* A process with all the descriptors it may have, the last of them a socket, and select. */
#include "check.h"
int main(void) {
    struct rlimit limit = {1024, 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 1024;
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    int first = dial('e'), last = 0, count = 0;
    while (last < 1022) {
        last = open("/dev/null", O_RDONLY);
        count++;
    }
    SHOW(count);
    int fd = dial('e');
    SHOW(fd);
    SHOW(open("/dev/null", O_RDONLY));
    SHOW(socket(AF_INET, SOCK_STREAM, 0));
    fd_set read_set, write_set;
    FD_ZERO(&read_set);
    FD_ZERO(&write_set);
    FD_SET(fd, &read_set);
    FD_SET(first, &read_set);
    struct timeval none = {0, 0}, long_time = {5, 0};
    SHOW(select(1024, &read_set, NULL, NULL, &none));
    SHOW(FD_ISSET(fd, &read_set) != 0);
    SHOW(write(fd, "x", 1));
    FD_ZERO(&read_set);
    FD_SET(fd, &read_set);
    FD_SET(first, &read_set);
    SHOW(select(1024, &read_set, NULL, NULL, &long_time));
    SHOW(FD_ISSET(fd, &read_set) != 0);
    SHOW(FD_ISSET(first, &read_set) != 0);
    FD_SET(fd, &write_set);
    FD_SET(first, &write_set);
    SHOW(select(1024, &read_set, &write_set, NULL, &long_time));
    SHOW(close(500));
    FD_SET(500, &read_set);
    SHOW(select(1024, &read_set, NULL, NULL, &none));
    show_bytes(fd, 1);
    return 0;
}
