/* dup2 over a socket closes it, and makes the number something else. */
#include "check.h"
int main(void) {
    int first = dial('e'), second = dial('w'), pipes[2];
    SHOW(dup2(first, second) == second);
    /* The far end of the second says by its close that ours was closed in order. */
    SHOW(write(second, "one", 3));
    show_bytes(first, 3);
    SHOW(dup3(first, second, O_CLOEXEC) == second);
    SHOW(fcntl(second, F_GETFD));
    SHOW(fcntl(first, F_GETFD));
    SHOW(dup3(first, first, 0));
    SHOW(dup2(first, first) == first);
    SHOW(dup2(999, first));
    SHOW(write(first, "two", 3));
    show_bytes(second, 3);
    SHOW(pipe(pipes));
    SHOW(dup2(pipes[1], first) == first);
    SHOW(write(first, "pipe", 4));
    show_bytes(pipes[0], 4);
    SHOW(dup2(second, pipes[0]) == pipes[0]);
    SHOW(close(second));
    SHOW(write(pipes[0], "three", 5));
    show_bytes(pipes[0], 5);
    return 0;
}
