/* A child of vfork puts the socket over its output and becomes another program; its parent's
 * descriptors are as they were. */
#include "check.h"
int main(void) {
    int fd = dial('e'), other = dial('e'), status;
    pid_t child = vfork();
    if (child == 0) {
        dup2(fd, 1);
        close(fd);
        close(other);
        execl("/bin/echo", "echo", "from echo", NULL);
        _exit(9);
    }
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
    show_bytes(fd, 10);
    SHOW(write(fd, "parent", 6));
    show_bytes(fd, 6);
    SHOW(write(other, "other", 5));
    show_bytes(other, 5);
    return 0;
}
