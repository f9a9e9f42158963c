/* A child writes on its parent's socket, and ends; the parent goes on. */
#include "check.h"
int main(void) {
    int fd = dial('e'), status;
    pid_t child = fork();
    if (child == 0) {
        SHOW(write(fd, "child ", 6));
        show_bytes(fd, 6);
        SHOW(close(fd));
        int own = dial('e');
        SHOW(write(own, "own", 3));
        show_bytes(own, 3);
        exit(3);
    }
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
    SHOW(write(fd, "parent", 6));
    show_bytes(fd, 6);
    SHOW(shutdown(fd, SHUT_WR));
    show_bytes(fd, 1);
    return 0;
}
