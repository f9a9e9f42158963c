/* A signal handler writes on the socket that the program is writing on. */
#include "check.h"
static int fd;
static volatile long handled;
static void on_alarm(int number) {
    (void)number;
    int before = errno;
    char byte = 'h';
    if (send(fd, &byte, 1, MSG_DONTWAIT) == 1) handled++;
    errno = before;
}
int main(void) {
    fd = dial('e');
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, 500}, {0, 500}};
    pid_t reader = fork();
    if (reader == 0) {
        /* A child has no timer. */
        static char bytes[1 << 16];
        long mine = 0, of_handler = 0, other = 0;
        ssize_t got;
        while ((got = read(fd, bytes, sizeof bytes)) > 0)
            for (ssize_t n = 0; n < got; n++)
                bytes[n] == 'm' ? mine++ : bytes[n] == 'h' ? of_handler++ : other++;
        SHOW(got);
        SHOW(mine);
        SHOW(other);
        exit(of_handler > 0 ? 5 : 6);
    }
    setitimer(ITIMER_REAL, &timer, NULL);
    static char bytes[5000];
    memset(bytes, 'm', sizeof bytes);
    for (int n = 0; n < 2000; n++) {
        size_t sent = 0;
        while (sent < sizeof bytes) {
            ssize_t count = write(fd, bytes + sent, sizeof bytes - sent);
            if (count > 0) sent += count;
            else if (errno != EINTR) { perror("write"); return 1; }
        }
    }
    memset(&timer, 0, sizeof timer);
    setitimer(ITIMER_REAL, &timer, NULL);
    SHOW(handled > 0);
    SHOW(shutdown(fd, SHUT_WR));
    int status;
    waitpid(reader, &status, 0);
    SHOW(WEXITSTATUS(status));
    return 0;
}
