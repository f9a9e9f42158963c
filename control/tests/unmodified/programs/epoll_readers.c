/* Sockets of a set that another thread reads, while one sleeps for all of them: what comes to one that
 * nobody else reads is heard of, again and again. */
#include "check.h"
#include <pthread.h>

enum { TURNS = 3000, PATIENCE = 3000 };
static int others[3], mine, heard;

static void *read_others(void *unused) {
    (void)unused;
    char bytes[64];
    for (int turn = 0; turn < TURNS; turn++) {
        int other = others[turn % 3];
        if (write(other, "x", 1) != 1 || recv(other, bytes, sizeof bytes, 0) != 1) exit(2);
        if (write(mine, "x", 1) != 1) exit(2);
        while (__atomic_load_n(&heard, __ATOMIC_ACQUIRE) <= turn) usleep(10);
    }
    return NULL;
}

int main(void) {
    int set = epoll_create1(0);
    mine = dial('e');
    SHOW(add(set, mine, EPOLLIN, 9));
    for (int n = 0; n < 3; n++) {
        others[n] = dial('e');
        SHOW(add(set, others[n], EPOLLIN, n));
    }
    pthread_t thread;
    pthread_create(&thread, NULL, read_others, NULL);
    while (heard < TURNS) {
        struct epoll_event event;
        int found = epoll_wait(set, &event, 1, PATIENCE);
        if (found != 1) {
            printf("epoll = %d\n", found);
            return 1;
        }
        char byte;
        if (event.data.u64 == 9 && recv(mine, &byte, 1, MSG_DONTWAIT) == 1)
            __atomic_add_fetch(&heard, 1, __ATOMIC_RELEASE);
    }
    pthread_join(thread, NULL);
    puts("all heard");
    return 0;
}
