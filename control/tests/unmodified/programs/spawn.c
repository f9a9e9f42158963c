/* posix_spawn with a socket as the standard input of a program that reads by stdio, and as the
 * standard output of one that writes. */
#include "check.h"
#include <spawn.h>
extern char **environ;
static void run(int fd, int as, char *const arguments[]) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, as);
    pid_t child;
    int status;
    int result = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    waitpid(child, &status, 0);
    SHOW(result);
    SHOW(WEXITSTATUS(status));
    posix_spawn_file_actions_destroy(&actions);
}
int main(void) {
    int fd = dial('e');
    SHOW(write(fd, "line\n", 5));
    run(fd, 0, (char *const[]){"head", "-n1", NULL});
    run(fd, 1, (char *const[]){"echo", "spawned", NULL});
    show_bytes(fd, 8);
    return 0;
}
