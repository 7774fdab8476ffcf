// actor MARKS NAME MODE [ARGUMENT]...: a measured child. It says itself what it did and when: one line for each act,
// "NAME WHAT NANOSECONDS PID EXTRA", appended to MARKS in one write, by the monotonic clock.
//
//   idle            starts, and sleeps
//   deaf            the same, and ignores SIGTERM, SIGINT and SIGHUP
//   serve MS [PORT] binds PORT (or $PORT) after MS milliseconds and answers 200 to whatever is asked
//   spew BYTES      writes lines of 100 bytes in blocks of 64 KiB as fast as they are taken
//   claim           binds $PORT, and says whether it was free
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char *marks, *name;

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void mark(const char *what, long long extra) {
    char line[256];
    int length = snprintf(line, sizeof line, "%s %s %lld %d %lld\n", name, what, now_ns(), getpid(), extra);
    int fd = open(marks, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, line, length) != length) _exit(9);
    close(fd);
}

static int listen_on(int port) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 128)) return -1;
    return s;
}

static void serve(int ms, int port) {
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
    char asked[4096];
    int answered = 0;
    signal(SIGPIPE, SIG_IGN);
    usleep(ms * 1000);
    int s = listen_on(port);
    if (s < 0) { mark("inuse", port); _exit(1); }
    mark("listening", port);
    for (;;) {
        int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
        if (c < 0) continue;
        ssize_t got = read(c, asked, sizeof asked); // 0: somebody only looked whether it listens
        if (got > 0 && write(c, ok, sizeof ok - 1) > 0 && !answered++) mark("answered", port);
        shutdown(c, SHUT_WR);
        close(c);
    }
}

static void spew(long long total) {
    static char block[65500];
    long long left = total, began = now_ns();
    for (size_t i = 0; i < sizeof block; i++) block[i] = i % 100 == 99 ? '\n' : 'a' + i % 26;
    while (left > 0) {
        ssize_t n = write(1, block, left < (long long)sizeof block ? left : (long long)sizeof block);
        if (n < 0 && errno != EINTR) { mark("refused", errno); return; }
        if (n > 0) left -= n;
    }
    mark("written", now_ns() - began);
}

int main(int count, char **argument) {
    if (count < 4) return 2;
    marks = argument[1], name = argument[2];
    const char *mode = argument[3];
    mark("start", 0);
    if (!strcmp(mode, "deaf")) signal(SIGTERM, SIG_IGN), signal(SIGINT, SIG_IGN), signal(SIGHUP, SIG_IGN);
    if (!strcmp(mode, "serve")) serve(atoi(argument[4]), atoi(count > 5 ? argument[5] : getenv("PORT")));
    if (!strcmp(mode, "spew")) spew(atoll(argument[4]));
    if (!strcmp(mode, "claim")) {
        int port = getenv("PORT") ? atoi(getenv("PORT")) : -1;
        mark(listen_on(port) < 0 ? "inuse" : "bound", port);
        mark("claimed", port);
    }
    for (;;) pause();
}
