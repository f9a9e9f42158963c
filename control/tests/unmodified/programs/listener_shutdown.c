/* A listener that is shut down: whoever waits for connections learns of it, and it may listen again. */
#include "check.h"
#include <pthread.h>
static int listener;
static void *wait_for_one(void *unused) {
    (void)unused;
    return (void *)(long)(accept(listener, NULL, NULL) == -1 ? errno : 0);
}
int main(void) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7007)};
    int one = 1;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SHOW(bind(listener, (struct sockaddr *)&any, sizeof any));
    SHOW(listen(listener, -1));
    SHOW(shutdown(listener, SHUT_WR));
    pthread_t thread;
    void *failure = NULL;
    pthread_create(&thread, NULL, wait_for_one, NULL);
    usleep(100000);
    SHOW(shutdown(listener, SHUT_RDWR));
    SHOW(pthread_join(thread, &failure));
    SHOW((long)failure == EINVAL);
    SHOW(accept(listener, NULL, NULL));
    SHOW(listen(listener, 4));
    int control = dial('d');
    int fd = accept(listener, NULL, NULL);
    show_bytes(fd, 5);
    SHOW(write(fd, "again!", 6));
    show_bytes(control, 6);
    return 0;
}
