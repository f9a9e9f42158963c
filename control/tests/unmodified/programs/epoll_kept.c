/* Registrations that live on: in a set that an exec or a spawn keeps, with changes that were not waited
 * for yet, and of a socket whose number was closed. */
#include "check.h"
#include <spawn.h>
extern char **environ;
static int change(int set, int operation, int fd, unsigned events, long data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, operation, fd, &event);
}
static char *arguments[] = {NULL, NULL, NULL, NULL};
static void again(int set, int fd) {
    static char numbers[2][16];
    sprintf(numbers[0], "%d", set);
    sprintf(numbers[1], "%d", fd);
    arguments[0] = "/proc/self/exe";
    arguments[1] = numbers[0];
    arguments[2] = numbers[1];
}
int main(int count, char **values) {
    if (count > 2) {
        int set = atoi(values[1]), fd = atoi(values[2]);
        show_epoll(set, 500);
        SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLIN, 100));
        show_epoll(set, 0);
        SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLOUT, 101));
        show_epoll(set, 500);
        return 0;
    }
    char self[4096] = {0}, bytes[8];
    readlink("/proc/self/exe", self, sizeof self - 1);
    int set = epoll_create1(0), fd = dial('e'), status;
    SHOW(add(set, fd, EPOLLIN, 1));
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLOUT, 2));
    again(set, fd);
    pid_t child = fork();
    if (child == 0) { execv(self, arguments); _exit(9); }
    waitpid(child, &status, 0);
    SHOW(status);
    show_epoll(set, 500);
    SHOW(close(set));
    set = epoll_create1(0);
    SHOW(add(set, fd, EPOLLIN, 3));
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLOUT, 4));
    again(set, fd);
    child = vfork();
    if (child == 0) { execv(self, arguments); _exit(9); }
    waitpid(child, &status, 0);
    SHOW(status);
    show_epoll(set, 500);
    SHOW(close(set));
    set = epoll_create1(0);
    SHOW(add(set, fd, EPOLLIN, 5));
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLOUT, 6));
    again(set, fd);
    if (posix_spawn(&child, self, NULL, NULL, arguments, environ) != 0) return 1;
    waitpid(child, &status, 0);
    SHOW(status);
    show_epoll(set, 500);
    SHOW(close(set));
    /* A number of a socket that lives on. */
    set = epoll_create1(0);
    int copy = dup(fd);
    SHOW(add(set, fd, EPOLLIN, 7));
    SHOW(write(copy, "x", 1));
    show_epoll(set, 5000);
    SHOW(change(set, EPOLL_CTL_MOD, fd, EPOLLIN, 8));
    SHOW(close(fd));
    show_epoll(set, 500);
    SHOW(recv(copy, bytes, 8, MSG_DONTWAIT));
    show_epoll(set, 0);
    int pipes[2];
    SHOW(pipe(pipes));
    SHOW(write(copy, "y", 1));
    show_epoll(set, 5000);
    SHOW(recv(copy, bytes, 8, MSG_DONTWAIT));
    show_epoll(set, 0);
    SHOW(close(copy));
    show_epoll(set, 50);
    SHOW(close(set));
    return 0;
}
