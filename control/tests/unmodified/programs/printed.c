/* What the C library prints to sockets by itself. */
#include "check.h"
#include <stdarg.h>

static int list(int fd, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int printed = vdprintf(fd, format, arguments);
    va_end(arguments);
    return printed;
}

int main(void) {
    int fd = dial('e');
    SHOW(dprintf(fd, "%d %s\n", 1, "one"));
    show_bytes(fd, 6);
    SHOW(dprintf(fd, "nothing else"));
    show_bytes(fd, 12);
    /* More than there are registers for, of both kinds. */
    SHOW(dprintf(fd, "%d %d %d %d %d %d %d %.1f %.1f %.1f %.1f %.1f %.1f %.1f %.1f %.1f %.1Lf %s\n", 1, 2, 3, 4, 5,
                 6, 7, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.5L, "end"));
    show_bytes(fd, 58);
    SHOW(list(fd, "%s %5.2f %c", "list", 2.5, 'x'));
    show_bytes(fd, 12);
    SHOW(dprintf(fd, "%*d", 3000, 7));
    char bytes[3000];
    SHOW(recv(fd, bytes, sizeof bytes, MSG_WAITALL));
    SHOW(bytes[2998] == ' ' && bytes[2999] == '7');
    int pipes[2];
    SHOW(pipe(pipes));
    SHOW(dprintf(pipes[1], "%s %.2f", "pipe", 1.25));
    show_bytes(pipes[0], 9);
    SHOW(dprintf(-1, "%d", 1));
    SHOW(sockatmark(fd));
    SHOW(sockatmark(pipes[0]));

    /* A stream for both directions. */
    FILE *both = fdopen(fd, "r+");
    char line[64];
    SHOW(fprintf(both, "first\nsecond\n"));
    SHOW(fflush(both));
    SHOW(fgets(line, sizeof line, both) != NULL);
    printf("%s", line);
    SHOW(fflush(both));
    SHOW(fseek(both, 0, SEEK_CUR));
    SHOW(fclose(both));

    /* A stream older than its connection. */
    fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = far_address();
    FILE *early = fdopen(fd, "w");
    SHOW(connect(fd, (struct sockaddr *)&address, sizeof address));
    SHOW(fputs("eearly", early) >= 0);
    SHOW(fflush(early));
    show_bytes(fd, 5);
    SHOW(fclose(early));

    /* The standard streams of a server for one connection, with what waits in them. */
    fd = dial('e');
    fflush(stdout);
    int before = dup(STDOUT_FILENO), errors = dup(STDERR_FILENO);
    printf("was waiting, ");
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    printf("then printed\n");
    fflush(stdout);
    char *read_line = fgets(line, sizeof line, stdin);
    char error[64] = {0};
    errno = ENOENT;
    perror("said");
    ssize_t said = recv(fd, error, 32, MSG_WAITALL);
    dup2(before, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    SHOW(read_line != NULL);
    printf("%s", line);
    SHOW(said);
    printf("%s", error);
    SHOW(close(fd));
    return 0;
}
