/* Threads that share a socket: records of each come back whole, in its order, also when there is room
 * for a part of one only, and when it lies in two buffers. Together they are more than is buffered. */
#include "check.h"
#include <pthread.h>
enum { THREADS = 4, RECORDS = 8000, BYTES = 64 };
static int fd;
static void *writer(void *id) {
    char record[BYTES];
    for (int n = 0; n < RECORDS; n++) {
        memset(record, 'a' + (long)id, BYTES);
        memcpy(record + 1, &n, sizeof n);
        struct iovec pieces[2] = {{record, 9}, {record + 9, BYTES - 9}};
        ssize_t sent = n % 2 ? send(fd, record, BYTES, 0) : writev(fd, pieces, 2);
        if (sent != BYTES) printf("short send\n");
    }
    return NULL;
}
int main(void) {
    pthread_t threads[THREADS];
    int next[THREADS] = {0}, wrong = 0;
    fd = dial('e');
    for (long n = 0; n < THREADS; n++) pthread_create(&threads[n], NULL, writer, (void *)n);
    usleep(100000);
    for (int n = 0; n < THREADS * RECORDS; n++) {
        char record[BYTES];
        int number;
        if (recv(fd, record, BYTES, MSG_WAITALL) != BYTES) {
            printf("short receive\n");
            return 1;
        }
        memcpy(&number, record + 1, sizeof number);
        int id = record[0] - 'a';
        if (id < 0 || id >= THREADS || number != next[id]++) wrong++;
    }
    for (int n = 0; n < THREADS; n++) {
        pthread_join(threads[n], NULL);
        SHOW(next[n]);
    }
    SHOW(wrong);
    return 0;
}
