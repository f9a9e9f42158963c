/* SIOCOUTQ and SIOCOUTQNSD: what the far end has not acknowledged, and what has not gone out. */
#include "check.h"
#include <linux/sockios.h>
static int count(int fd, unsigned long request) {
    int bytes = -1;
    if (ioctl(fd, request, &bytes) < 0) printf("ioctl: %s\n", strerrorname_np(errno));
    return bytes;
}
int main(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(count(fd, SIOCOUTQ));
    SHOW(count(fd, SIOCOUTQNSD));
    close(fd);
    /* A far end that reads all. */
    fd = dial('w');
    SHOW(write(fd, "some words", 10));
    for (int n = 0; n < 1000 && count(fd, SIOCOUTQ) > 0; n++) usleep(1000);
    SHOW(count(fd, SIOCOUTQ));
    SHOW(count(fd, SIOCOUTQNSD));
    close(fd);
    /* One that reads nothing: what it has no window for waits here, and what it has in its buffer is
     * acknowledged. */
    fd = dial('n');
    fcntl(fd, F_SETFL, O_NONBLOCK);
    static char bytes[65536];
    long sent = 0, last = -1;
    while (last != sent) {
        last = sent;
        ssize_t went;
        while ((went = write(fd, bytes, sizeof bytes)) > 0) sent += went;
        usleep(300000);
    }
    int waits = count(fd, SIOCOUTQ), unsent = count(fd, SIOCOUTQNSD);
    SHOW(waits > 0 && waits < sent);
    SHOW(unsent > 0 && unsent <= waits);
    /* More than the few hundred KiB that wait before the engine: its own buffer counts. */
    SHOW(waits > 300 * 1024);
    return 0;
}
