// The launcher asks for a warm kernel, and then stands for it.
//
// A front end knows the process that it started: it signals that process or its group, and waits
// for it. A fork of the keeper can be neither that process nor in its session. So the launcher
// stays, as a shim of a few pages, and is what it was asked to be in every way that shows:
//   - a signal to it goes on to the kernel's process group (front ends signal groups);
//   - its end is the kernel's end: the link closes, the kernel and the keeper both see that, and
//     whatever is left of the kernel's group is killed; so kill -9 works;
//   - the kernel's end is its end: same exit status, or death by the same signal.
// It cannot be stopped for the kernel (SIGSTOP is not announced to anyone).
//
// The kernel runs nothing of the user's before the launcher has said GO. A launcher that has waited
// long enough simply closes the link and starts cold: there is never a second kernel.

#include "warm/warm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE_MS 2000 // for the keeper's answer; a start from nothing is quicker than more
#define LAST_WORD_MS 500 // after the kernel's end, for the keeper to say how it was

extern char **environ;

typedef struct shim {
    int link;
    int kernel; // pidfd
    pid_t pid;
    int signals; // signalfd of all
    int leaving; // exit status that the kernel has announced; -1: none
    px_identity identity;
} shim;

// --- asking --------------------------------------------------------------------------------------

// suits tells if this is a start of the kind that front ends do: a session of its own, no terminal,
// the three standard descriptors.
static bool suits(int argc, char **argv)
{
    if (px_warm_seconds() < 0 || getsid(0) != getpid()) {
        return false;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--no-warm") == 0) {
            return false;
        }
    }
    int terminal = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (terminal >= 0) {
        (void)close(terminal);
        return false;
    }
    return fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0;
}

// list_fds fills in the descriptors that were inherited; false when there are too many.
static bool list_fds(px_ask *ask, int *fds, int first)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    bool good = folder != NULL;
    while (good && (entry = readdir(folder)) != NULL) { // NOLINT(concurrency-mt-unsafe): alone
        int fd = 0;
        for (const char *c = entry->d_name; *c >= '0' && *c <= '9'; c++) {
            fd = fd * 10 + (*c - '0');
        }
        int flags = entry->d_name[0] == '.' ? -1 : fcntl(fd, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC) != 0) {
            continue; // ours
        }
        good = ask->n_fds < PX_WARM_MAX_FDS;
        if (good) {
            fds[first + (int)ask->n_fds] = fd;
            ask->numbers[ask->n_fds++] = fd;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return good;
}

static bool append(char *message, size_t *size, const char *text, size_t length)
{
    if (length > PX_WARM_MAX_ASK - *size) {
        return false;
    }
    memcpy(message + *size, text, length);
    *size += length;
    return true;
}

// fill writes the request; its size, 0 when it is too large.
static size_t fill(px_ask *ask, const px_identity *identity, int argc, char **argv)
{
    char *message = (char *)ask;
    size_t size = sizeof(*ask);
    bool good = append(message, &size, identity->text, identity->size);
    ask->identity_size = (uint32_t)identity->size;
    for (int i = 0; good && i < argc; i++, ask->n_arguments++) {
        good = append(message, &size, argv[i], strlen(argv[i]) + 1);
    }
    for (char **v = environ; good && v != NULL && *v != NULL; v++, ask->n_variables++) {
        good = append(message, &size, *v, strlen(*v) + 1);
    }
    mode_t mask = umask(077);
    (void)umask(mask);
    ask->umask = (uint32_t)mask;
    for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
        (void)getrlimit((__rlimit_resource_t)i, &ask->limits[i]); // a number that exists
    }
    good = good && sched_getaffinity(0, sizeof(ask->processors), &ask->processors) == 0;
    ask->size = (uint32_t)size;
    return good ? size : 0;
}

static bool ask_keeper(int link, const px_identity *identity, int argc, char **argv)
{
    int fds[PX_WARM_MAX_FDS + 2];
    int n = 0;
    px_ask *ask = calloc(1, PX_WARM_MAX_ASK);
    int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    pid_t before = getppid();
    int parent = before > 1 ? (int)syscall(SYS_pidfd_open, before, 0) : -1;
    bool good = ask != NULL && folder >= 0 && (parent < 0 || getppid() == before);
    if (good) {
        fds[n++] = folder;
        ask->has_parent = parent >= 0;
        if (ask->has_parent) {
            fds[n++] = parent;
        }
        size_t size = list_fds(ask, fds, n) ? fill(ask, identity, argc, argv) : 0;
        good = size > 0 && px_warm_send(link, ask, size, fds, n + (int)ask->n_fds);
    }
    free(ask);
    if (folder >= 0) {
        (void)close(folder);
    }
    if (parent >= 0) {
        (void)close(parent);
    }
    return good;
}

// await_kernel waits for the kernel's READY, and lets it go on.
static bool await_kernel(shim *s)
{
    px_answer_word word = {0};
    int n_fds = 0;
    struct pollfd item = {.fd = s->link, .events = POLLIN};
    if (poll(&item, 1, PATIENCE_MS) != 1 ||
        px_warm_receive(s->link, &word, sizeof(word), &s->kernel, 1, &n_fds) != sizeof(word) ||
        word.kind != PX_WORD_READY || n_fds != 1) {
        return false;
    }
    s->pid = word.value;
    word = (px_answer_word){.kind = PX_WORD_GO};
    return px_warm_send(s->link, &word, sizeof(word), NULL, 0);
}

// --- standing for it -----------------------------------------------------------------------------

_Noreturn static void end_by(int signum)
{
    const struct rlimit none = {0};
    sigset_t only;
    (void)setrlimit(RLIMIT_CORE, &none); // the core is the kernel's
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(signum, SIG_DFL);
    (void)raise(signum);
    (void)sigemptyset(&only);
    (void)sigaddset(&only, signum);
    (void)sigprocmask(SIG_UNBLOCK, &only, NULL);
    _exit(128 + signum);
}

_Noreturn static void end_as(px_exit_status status)
{
    if (status.kind == PX_EXIT_CODE) {
        _exit(status.value);
    }
    end_by(status.kind == PX_EXIT_SIGNAL ? status.value : SIGKILL);
}

static bool kernel_lives(const shim *s)
{
    struct pollfd item = {.fd = s->kernel, .events = POLLIN};
    return poll(&item, 1, 0) == 0;
}

static void pass_on(const shim *s)
{
    struct signalfd_siginfo one;
    while (read(s->signals, &one, sizeof(one)) == sizeof(one)) {
        if (one.ssi_signo != SIGCHLD && kernel_lives(s)) {
            (void)kill(-s->pid, (int)one.ssi_signo); // gone in this instant: then it has no need
        }
    }
}

// hear reads what the keeper or the kernel say; false at the end of the link.
static bool hear(shim *s)
{
    px_answer_word word = {0};
    ssize_t n;
    while ((n = px_warm_receive(s->link, &word, sizeof(word), NULL, 0, NULL)) == sizeof(word)) {
        if (word.kind == PX_WORD_EXIT) {
            end_as((px_exit_status){PX_EXIT_CODE, word.value});
        } else if (word.kind == PX_WORD_SIGNAL) {
            end_as((px_exit_status){PX_EXIT_SIGNAL, word.value});
        } else if (word.kind == PX_WORD_LEAVING) {
            s->leaving = word.value;
        }
    }
    return n < 0 && errno == EAGAIN;
}

// finish is for a kernel that has ended while no keeper was there to see it.
_Noreturn static void finish(shim *s)
{
    struct pollfd item = {.fd = s->link, .events = POLLIN};
    while (poll(&item, 1, LAST_WORD_MS) == 1 && hear(s)) {
    }
    px_exit_status status = px_exit_status_of(s->kernel, s->pid);
    px_identity_clean(&s->identity);
    if (status.kind == PX_EXIT_UNKNOWN && s->leaving >= 0) {
        status = (px_exit_status){PX_EXIT_CODE, s->leaving};
    }
    end_as(status);
}

_Noreturn static void stand(shim *s)
{
    bool linked = true;
    struct pollfd items[3] = {{.fd = s->kernel, .events = POLLIN},
                              {.fd = s->signals, .events = POLLIN},
                              {.fd = s->link, .events = POLLIN}};
    for (;;) {
        if (poll(items, linked ? 3 : 2, -1) < 0) {
            continue; // EINTR: a debugger; everything else is blocked
        }
        if (items[1].revents != 0) {
            pass_on(s);
        }
        if (linked && items[2].revents != 0) {
            linked = hear(s);
        }
        if (items[0].revents != 0) {
            finish(s);
        }
    }
}

// drop_all closes what the kernel has now: nobody shall wait for a pipe because of us.
static void drop_all(shim *s)
{
    int keep[3] = {s->link, s->kernel, s->signals};
    for (int i = 0; i < 3; i++) { // above all others, in a row
        int moved = fcntl(keep[i], F_DUPFD_CLOEXEC, 512 + i);
        keep[i] = moved >= 0 ? moved : keep[i];
    }
    if (keep[0] >= 512 && keep[1] >= 512 && keep[2] >= 512) {
        (void)close_range(0, 511, 0);
        s->link = keep[0];
        s->kernel = keep[1];
        s->signals = keep[2];
    }
    (void)!chdir("/"); // its folder can be removed or unmounted
}

void px_shim_try(const px_environment *environment, int argc, char **argv)
{
    shim s = {.link = -1, .kernel = -1, .leaving = -1};
    sigset_t all;
    sigset_t before;
    if (!suits(argc, argv) || !px_identity_of(environment, false, &s.identity)) {
        return;
    }
    s.link = px_warm_connect(s.identity.warm);
    if (s.link < 0) {
        px_identity_done(&s.identity);
        return;
    }
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before); // what comes now is the kernel's
    s.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s.signals >= 0 && ask_keeper(s.link, &s.identity, argc, argv) && await_kernel(&s)) {
        drop_all(&s);
        stand(&s);
    }
    px_identity_done(&s.identity);
    (void)close(s.link);
    if (s.kernel >= 0) {
        (void)close(s.kernel);
    }
    if (s.signals >= 0) {
        (void)close(s.signals);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}
