/* stdio on a socket. */
#include "check.h"
int main(void) {
    int fd = dial('e');
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    char line[64];
    SHOW(fileno(in) == fd);
    SHOW(fprintf(out, "line %d\n", 1));
    SHOW(fflush(out));
    SHOW(fgets(line, sizeof line, in) != NULL);
    printf("%s", line);
    SHOW(fputs("two\n", out) >= 0);
    SHOW(fclose(out));
    SHOW(fgets(line, sizeof line, in) != NULL);
    printf("%s", line);
    SHOW(shutdown(fd, SHUT_WR));
    SHOW(fgets(line, sizeof line, in) == NULL);
    SHOW(feof(in) != 0);
    SHOW(fclose(in));
    SHOW(close(fd));
    return 0;
}
