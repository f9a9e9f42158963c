/* accept() without a number free: it fails at once, and a connection waits until there is one. */
#include "check.h"
int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, held[4096], count = 0;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7007)};
    struct rlimit limit = {128, 128};
    SHOW(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SHOW(bind(listener, (struct sockaddr *)&any, sizeof any));
    SHOW(listen(listener, 16));
    int first = dial('d'), second = dial('d');
    show_poll(listener, POLLIN, 5000);
    usleep(300000);
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    while (count < 4096 && (held[count] = dup(0)) >= 0) count++;
    for (int n = 0; n < 3; n++) {
        SHOW(accept(listener, NULL, NULL));
        show_poll(listener, POLLIN, 0);
    }
    for (int n = 0; n < 2; n++) {
        /* Just the one that it takes. */
        SHOW(close(held[--count]));
        int fd = accept(listener, NULL, NULL);
        SHOW(fd >= 0);
        show_bytes(fd, 5);
        SHOW(write(fd, "answer", 6));
        /* After the second there is no connection that it could wait for. */
        SHOW(accept(listener, NULL, NULL));
    }
    SHOW(fcntl(listener, F_SETFL, O_NONBLOCK));
    SHOW(accept(listener, NULL, NULL));
    while (count > 0) close(held[--count]);
    show_bytes(first, 6);
    show_bytes(second, 6);
    return 0;
}
