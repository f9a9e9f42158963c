/* Sockets that each of the variadic forms of exec closes: the peer sees an end, and no reset. */
#include "check.h"
extern char **environ;
int main(int count, char **arguments) {
    int step = count > 1 ? atoi(arguments[1]) : 0;
    if (step > 0) {
        show_bytes(dial('q'), 5);
        /* All came through, in their order. */
        for (int n = 0; n < count; n++) printf("%s ", n == 0 ? "program" : arguments[n]);
        printf("%s\n", getenv("GIVEN") ? getenv("GIVEN") : "");
    }
    if (step == 3) return 0;
    int gone = dial('t');
    SHOW(fcntl(gone, F_SETFD, FD_CLOEXEC));
    SHOW(execl("/nowhere", "nowhere", NULL));
    SHOW(write(gone, "x", 1));
    if (step == 0) execl(arguments[0], arguments[0], "1", "b", "c", "d", "e", "f", "g", "h", NULL);
    if (step == 1) execlp(arguments[0], arguments[0], "2", "b", "c", "d", "e", NULL);
    char *environment[64] = {"GIVEN=given"};
    for (int n = 0; n < 60 && environ[n]; n++) environment[n + 1] = environ[n];
    if (step == 2) execle(arguments[0], arguments[0], "3", "b", "c", "d", "e", "f", NULL, environment);
    return 1;
}
