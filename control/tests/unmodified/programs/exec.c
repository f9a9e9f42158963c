/* The program after exec uses the socket of the one before; one that is closed on exec is gone. */
#include "check.h"
int main(int count, char **arguments) {
    if (count == 3) {
        int fd = atoi(arguments[1]), gone = atoi(arguments[2]);
        SHOW(write(fd, "after", 5));
        show_bytes(fd, 11);
        SHOW(write(gone, "x", 1));
        struct stat found;
        SHOW(fstat(fd, &found));
        SHOW(S_ISSOCK(found.st_mode));
        SHOW(shutdown(fd, SHUT_WR));
        show_bytes(fd, 1);
        return 0;
    }
    int fd = dial('e'), gone = dial('e');
    char first[12], second[12];
    SHOW(fcntl(gone, F_SETFD, FD_CLOEXEC));
    SHOW(write(fd, "before", 6));
    sprintf(first, "%d", fd);
    sprintf(second, "%d", gone);
    execl(arguments[0], arguments[0], first, second, NULL);
    return 1;
}
