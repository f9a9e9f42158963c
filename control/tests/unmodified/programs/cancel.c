/* Threads that wait, and are cancelled: each ends, and the socket goes on. */
#include "check.h"
#include <pthread.h>
static int fd, listener, handlers;
static void note(void *unused) { handlers++; (void)unused; }
static void *in_recv(void *unused) {
    char byte;
    pthread_cleanup_push(note, NULL);
    SHOW(recv(fd, &byte, 1, 0));
    pthread_cleanup_pop(0);
    return unused;
}
static void *in_read(void *unused) {
    char byte;
    SHOW(read(fd, &byte, 1));
    return unused;
}
static void *in_readv(void *unused) {
    char byte;
    struct iovec vector = {&byte, 1};
    SHOW(readv(fd, &vector, 1));
    return unused;
}
static void *in_recvmsg(void *unused) {
    char byte;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    SHOW(recvmsg(fd, &message, 0));
    return unused;
}
static void *in_poll(void *unused) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    SHOW(poll(&entry, 1, -1));
    return unused;
}
static void *in_select(void *unused) {
    fd_set read;
    FD_ZERO(&read);
    FD_SET(fd, &read);
    SHOW(select(fd + 1, &read, NULL, NULL, NULL));
    return unused;
}
static void *in_epoll(void *unused) {
    int set = epoll_create1(0);
    struct epoll_event event;
    add(set, fd, EPOLLIN, 1);
    SHOW(epoll_wait(set, &event, 1, -1));
    return unused;
}
static void *in_accept(void *unused) {
    SHOW(accept(listener, NULL, NULL));
    return unused;
}
/* Not while it says no; then at once. */
static void *later(void *unused) {
    char byte;
    struct timeval time = {0, 300000};
    SHOW(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
    SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    SHOW(recv(fd, &byte, 1, 0));
    SHOW(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL));
    SHOW(recv(fd, &byte, 1, 0));
    return unused;
}
int main(void) {
    static void *(*const waits[])(void *) = {in_recv, in_read,   in_readv,  in_recvmsg, in_poll,
                                             in_select, in_epoll, in_accept, later};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7007)};
    struct timeval none = {0, 0};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(bind(listener, (struct sockaddr *)&any, sizeof any));
    SHOW(listen(listener, 4));
    fd = dial('e');
    for (unsigned n = 0; n < sizeof waits / sizeof *waits; n++) {
        pthread_t thread;
        void *result = NULL;
        pthread_create(&thread, NULL, waits[n], NULL);
        usleep(100000);
        SHOW(pthread_cancel(thread));
        SHOW(pthread_join(thread, &result));
        SHOW(result == PTHREAD_CANCELED);
    }
    SHOW(handlers);
    SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none));
    SHOW(write(fd, "x", 1));
    show_bytes(fd, 1);
    show_poll(fd, POLLIN, 0);
    return 0;
}
