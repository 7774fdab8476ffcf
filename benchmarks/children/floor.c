// floor FILE [again]: the physical limit of a launcher. posix_spawn for each line of FILE (words between blanks), then
// wait; with `again` what has ended is spawned once more at once. SIGINT or SIGTERM: SIGTERM to all.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
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

int main(int arguments, char **argument) {
    FILE *file = fopen(argument[1], "r");
    int again = arguments > 2;
    if (!file) return 2;
    signal(SIGINT, leave), signal(SIGTERM, leave);
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
