// floor FILE [again | short]: the physical limit of a launcher. posix_spawn for each line of FILE (words between blanks),
// then wait; with `again` what has ended is spawned once more at once; with `short` the file that is its stdout is kept
// short, by a thread: past 320 MiB, the room of all but the last 256 is given back. SIGINT or SIGTERM: SIGTERM to all.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 10000, WORDS = 32 };
extern char **environ;
static pid_t pids[MOST];
static char lines[MOST][512];
static volatile sig_atomic_t leaving;
static int count;

static void leave(int number) {
    (void)number;
    leaving = 1;
    for (int i = 0; i < count; i++) if (pids[i] > 0) kill(pids[i], SIGTERM);
}

static pid_t spawn(const char *from) {
    static posix_spawnattr_t attributes;
    static int made;
    char text[512], *words[WORDS], *save;
    int k = 0;
    pid_t pid = -1;
    if (!made++) {
        sigset_t defaults;
        sigemptyset(&defaults), sigaddset(&defaults, SIGINT), sigaddset(&defaults, SIGTERM);
        posix_spawnattr_init(&attributes), posix_spawnattr_setsigdefault(&attributes, &defaults);
        posix_spawnattr_setpgroup(&attributes, 0);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    }
    strcpy(text, from);
    for (char *w = strtok_r(text, " \n", &save); w && k < WORDS - 1; w = strtok_r(NULL, " \n", &save)) words[k++] = w;
    words[k] = NULL;
    if (k) posix_spawn(&pid, words[0], NULL, &attributes, words, environ);
    return pid;
}

static void *keep_short(void *unused) {
    const off_t kept = 256 << 20, most = 320 << 20;
    off_t gone = 0;
    for (struct stat now;; usleep(10000)) {
        if (fstat(1, &now) || now.st_size - gone < most) continue;
        off_t end = (now.st_size - kept) & ~4095LL;
        fallocate(1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, gone, end - gone);
        gone = end;
    }
    return unused;
}

int main(int arguments, char **argument) {
    FILE *file = fopen(argument[1], "r");
    int again = arguments > 2 && !strcmp(argument[2], "again");
    pthread_t cutter;
    if (!file) return 2;
    signal(SIGINT, leave), signal(SIGTERM, leave);
    if (arguments > 2 && !strcmp(argument[2], "short")) pthread_create(&cutter, NULL, keep_short, NULL);
    while (count < MOST && fgets(lines[count], sizeof lines[count], file)) {
        pids[count] = spawn(lines[count]);
        count++;
    }
    for (;;) {
        pid_t pid = wait(NULL);
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) return 0;
        for (int i = 0; i < count; i++)
            if (pids[i] == pid) pids[i] = again && !leaving ? spawn(lines[i]) : 0;
    }
}
