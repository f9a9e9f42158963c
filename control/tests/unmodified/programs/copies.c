/* sendfile, splice, vectors and messages. */
#include "check.h"
int main(void) {
    int fd = dial('e'), pipes[2];
    FILE *file = tmpfile();
    fputs("0123456789abcdef", file);
    fflush(file);
    off_t offset = 4;
    SHOW(sendfile(fd, fileno(file), &offset, 6));
    SHOW(offset);
    SHOW(lseek(fileno(file), 12, SEEK_SET));
    SHOW(sendfile(fd, fileno(file), NULL, 100));
    SHOW(lseek(fileno(file), 0, SEEK_CUR));
    show_bytes(fd, 10);
    SHOW(pipe(pipes));
    SHOW(write(pipes[1], "through a pipe", 14));
    SHOW(splice(pipes[0], NULL, fd, NULL, 14, 0));
    char bytes[32];
    SHOW(recv(fd, bytes, 14, MSG_PEEK | MSG_WAITALL));
    SHOW(splice(fd, NULL, pipes[1], NULL, 14, 0));
    show_bytes(pipes[0], 14);
    int on = 1, off = 0;
    SHOW(ioctl(fd, FIONBIO, &on));
    SHOW(splice(fd, NULL, pipes[1], NULL, 14, SPLICE_F_NONBLOCK));
    SHOW(ioctl(fd, FIONBIO, &off));
    SHOW(splice(pipes[0], NULL, fd, NULL, 14, SPLICE_F_NONBLOCK));
    SHOW(splice(fd, &offset, pipes[1], NULL, 14, 0));
    SHOW(splice(fd, NULL, fd, NULL, 14, 0));
    SHOW(sendfile(fd, fd, NULL, 1));
    struct iovec out[3] = {{"ab", 2}, {NULL, 0}, {"cde", 3}};
    SHOW(writev(fd, out, 3));
    char first[2], second[8];
    struct iovec in[2] = {{first, 2}, {second, 3}};
    SHOW(recv(fd, bytes, 5, MSG_PEEK | MSG_WAITALL));
    SHOW(readv(fd, in, 2));
    printf("%.2s %.3s\n", first, second);
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = out, .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = out + 2, .msg_iovlen = 1}}};
    SHOW(sendmmsg(fd, messages, 2, 0));
    SHOW(messages[1].msg_len);
    struct msghdr message = {.msg_iov = in, .msg_iovlen = 2, .msg_namelen = 0};
    SHOW(recvmsg(fd, &message, MSG_WAITALL));
    SHOW(message.msg_controllen);
    SHOW(pread(fd, bytes, 1, 0));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(recv(fd, bytes, 1, MSG_DONTWAIT | MSG_TRUNC));
    SHOW(writev(fd, out, -1));
    SHOW(read(fd, NULL, 0));
    return 0;
}
