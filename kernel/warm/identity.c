// What makes two starts alike. A kernel that is forked from a keeper has the keeper's Python, its
// memory layout and whatever the system fixed when the keeper was started. So everything that could
// make a cold start differ stands in one text, written by the same code in the launcher and in the
// keeper; they must be equal to the byte. What a process can change about itself (environment,
// folder, descriptors, soft limits, processors, umask) does not stand here: it is handed over.

#include "warm/warm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

#define IDENTITY_MAX 65536

typedef struct writer {
    char *text;
    size_t size;
    bool full;
} writer;

[[gnu::format(printf, 2, 3)]] static void put(writer *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(w->text + w->size, IDENTITY_MAX - w->size, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= IDENTITY_MAX - w->size) {
        w->full = true;
        return;
    }
    w->size += (size_t)n;
}

uint64_t px_warm_hash(const char *text, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); // FNV-1a
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

int px_warm_seconds(void)
{
    const char *text = getenv("PX_WARM");
    int seconds = 0;
    if (text == NULL || text[0] == '\0') {
        return PX_WARM_SECONDS;
    }
    if (strcmp(text, "0") == 0 || strcmp(text, "off") == 0) {
        return -1;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || seconds > 3600) {
            return PX_WARM_SECONDS;
        }
        seconds = seconds * 10 + (*c - '0');
    }
    return seconds;
}

bool px_warm_folder(bool make, char ret_folder[80])
{
    const char *wanted = getenv("PX_RUNTIME_DIR");
    struct stat status;
    int n = wanted != NULL && wanted[0] != '\0'
                ? snprintf(ret_folder, 80, "%s", wanted)
                : snprintf(ret_folder, 80, "/tmp/pxkernel-%u", (unsigned)geteuid());
    if (n < 0 || n >= 80 || ret_folder[0] != '/') {
        return false; // a Unix socket's path is short
    }
    if (make) {
        (void)mkdir(ret_folder, 0700); // it may exist: looked at next
    }
    return lstat(ret_folder, &status) == 0 && S_ISDIR(status.st_mode) &&
           status.st_uid == geteuid() && (status.st_mode & 077) == 0;
}

size_t px_warm_read(const char *path, int flags, char *text, size_t size)
{
    size_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    while (fd >= 0 && got < size - 1) {
        ssize_t n = read(fd, text + got, size - 1 - got);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    text[got] = '\0';
    return got;
}

// --- the parts -----------------------------------------------------------------------------------

static void put_file(writer *w, const char *path)
{
    struct stat status = {0};
    (void)stat(path, &status); // zeros, if it is not there
    put(w, "%s %llu %llu %lld.%ld %lld\n", path, (unsigned long long)status.st_dev,
        (unsigned long long)status.st_ino, (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
        (long long)status.st_size);
}

static void put_link(writer *w, const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    put(w, "%s %.*s\n", path, n > 0 ? (int)n : 0, target);
}

static void put_text(writer *w, const char *path)
{
    char text[4096];
    (void)px_warm_read(path, 0, text, sizeof(text));
    put(w, "%s %s\n", path, text);
}

static const char *const status_lines[] = {
    "Uid:",    "Gid:",    "Groups:", "SigBlk:",  "CapInh:",     "CapPrm:",
    "CapEff:", "CapBnd:", "CapAmb:", "Seccomp:", "NoNewPrivs:", "Mems_allowed_list:",
};

// put_ignored writes which signals are ignored, but for SIGINT: a kernel handles that one whoever
// starts it, and a shell that runs `jupyter lab &` in a script has it ignored.
static void put_ignored(writer *w, const char *line)
{
    static const char digits[] = "0123456789abcdef";
    _Static_assert(SIGINT <= 4, "its bit is in the last digit");
    size_t size = strlen(line);
    const char *last = size > 0 ? strchr(digits, line[size - 1]) : NULL;
    if (last == NULL) {
        put(w, "%s\n", line); // as it is
        return;
    }
    put(w, "%.*s%c\n", (int)(size - 1), line, digits[(last - digits) & ~(1 << (SIGINT - 1))]);
}

static void put_status(writer *w)
{
    char text[8192];
    (void)px_warm_read("/proc/self/status", 0, text, sizeof(text));
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        for (size_t i = 0; i < sizeof(status_lines) / sizeof(status_lines[0]); i++) {
            if (strncmp(line, status_lines[i], strlen(status_lines[i])) == 0) {
                put(w, "%s\n", line);
            }
        }
        if (strncmp(line, "SigIgn:", strlen("SigIgn:")) == 0) {
            put_ignored(w, line);
        }
        line = end != NULL ? end + 1 : NULL;
    }
}

static void put_system(writer *w)
{
    static const char *const spaces[] = {"cgroup", "ipc",  "mnt",  "net",
                                         "pid",    "time", "user", "uts"};
    char path[64];
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", spaces[i]);
        put_link(w, path);
    }
    put_link(w, "/proc/self/root");
    put_text(w, "/proc/self/cgroup");
    put_text(w, "/proc/self/attr/current");
    put_text(w, "/proc/self/oom_score_adj");
    put_status(w);
    int policy = -1;
    (void)syscall(SYS_get_mempolicy, &policy, NULL, 0UL, NULL, 0UL); // -1 where there is none
    put(w, "nice %d scheduler %d memory %d personality %d keys %ld\n", getpriority(PRIO_PROCESS, 0),
        sched_getscheduler(0), policy, personality(0xffffffff),
        syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
    for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
        struct rlimit limit = {0};
        (void)getrlimit((__rlimit_resource_t)i, &limit); // a number that exists
        put(w, "%llu ", (unsigned long long)limit.rlim_max);
        if (i == RLIMIT_STACK) {
            put(w, "(%llu) ", (unsigned long long)limit.rlim_cur); // decides the memory's layout
        }
    }
    put(w, "\n");
}

// Variables that the C library, Python or IPython read while they start. Which of the others are
// set is the child's own affair.
static bool decides(const char *variable)
{
    static const char *const starts[] = {
        "PYTHON", "LD_",  "LC_",   "LANG",    "GLIBC_",          "MALLOC_",  "TZ=",
        "TZDIR=", "XDG_", "HOME=", "IPYTHON", "PX_RUNTIME_DIR=", "PX_HOME=", "PX_WARM=",
    };
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        if (strncmp(variable, starts[i], strlen(starts[i])) == 0) {
            return true;
        }
    }
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// relative tells if a search path has an entry that depends on the working folder.
static bool relative(const char *path)
{
    while (path != NULL && *path != '\0') {
        if (*path != '/') {
            return true;
        }
        path = strchr(path, ':');
        if (path != NULL && *++path == '\0') {
            return true; // an empty entry at the end
        }
    }
    return false;
}

static void put_variables(writer *w)
{
    const char *chosen[512];
    size_t n = 0;
    for (char **v = environ; v != NULL && *v != NULL; v++) {
        if (decides(*v) && n < sizeof(chosen) / sizeof(chosen[0])) {
            chosen[n++] = *v;
        }
    }
    qsort(chosen, n, sizeof(chosen[0]), by_text);
    for (size_t i = 0; i < n; i++) {
        put(w, "%s\n", chosen[i]);
    }
    w->full = w->full || n == sizeof(chosen) / sizeof(chosen[0]);
}

// --- all of it -----------------------------------------------------------------------------------

bool px_identity_of(const px_environment *environment, bool make, px_identity *ret_identity)
{
    char folder[80];
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    *ret_identity = (px_identity){0};
    if (n <= 0 || getuid() != geteuid() || getgid() != getegid() ||
        relative(getenv("PYTHONPATH")) || !px_warm_folder(make, folder)) {
        return false;
    }
    self[n] = '\0';
    writer w = {.text = malloc(IDENTITY_MAX)};
    if (w.text == NULL) {
        return false;
    }
    put(&w, "pxkernel " PX_VERSION "\n");
    put_file(&w, self);
    put_file(&w, environment->python);
    put_file(&w, environment->library);
    put_file(&w, environment->module);
    put(&w, "%s\n", environment->packages);
    put_system(&w);
    put_variables(&w);
    if (w.full) {
        free(w.text);
        return false;
    }
    *ret_identity =
        (px_identity){.text = w.text, .size = w.size + 1, .hash = px_warm_hash(w.text, w.size)};
    (void)snprintf(ret_identity->keep, sizeof(ret_identity->keep), "%s/.keep-%016llx", folder,
                   (unsigned long long)ret_identity->hash);
    (void)snprintf(ret_identity->warm, sizeof(ret_identity->warm), "%s/.warm-%016llx", folder,
                   (unsigned long long)ret_identity->hash);
    return true;
}

static void clean(const char *path)
{
    int other = px_warm_connect(path);
    if (other >= 0) {
        (void)close(other);
    } else {
        (void)unlink(path); // most often there is none
    }
}

void px_identity_clean(const px_identity *identity)
{
    char folder[80];
    int lock =
        px_warm_folder(false, folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (lock >= 0 && flock(lock, LOCK_EX) == 0) { // as keepers do while they take the place
        clean(identity->warm);
        clean(identity->keep);
    }
    if (lock >= 0) {
        (void)close(lock);
    }
}

void px_identity_done(px_identity *identity)
{
    free(identity->text);
    identity->text = NULL;
}
