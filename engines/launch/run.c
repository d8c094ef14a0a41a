// run.c: a child, a pipe and a pidfd. Only the end of what it says is kept: long-running programs
// may say much, and people want the last words.

#include "run.h"

#include "child.h"

#include "px/own.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP ((size_t)2048)

struct px_run {
    pid_t pid;
    int pidfd, from;
    px_source *end_source, *from_source;
    px_run_ended *ended;
    void *context;
    char said[2 * KEEP + 1];
    size_t size;
};

static bool hear(px_run *run)
{
    if (run->size > KEEP) {
        memmove(run->said, run->said + run->size - KEEP, KEEP);
        run->size = KEEP;
    }
    ssize_t n = read(run->from, run->said + run->size, sizeof(run->said) - 1 - run->size);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    run->size += (size_t)n;
    return true;
}

static void said_something(void *context, int events)
{
    px_run *run = context;
    if (!hear(run) && (events & PX_HANGUP) != 0) {
        px_source_remove(PX_STEAL(run->from_source)); // its end is told by the pidfd
    }
}

static void has_ended(void *context, int events)
{
    px_run *run = context;
    siginfo_t info = {0};
    (void)events;
    if (waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) {
        return;
    }
    while (hear(run)) {
    }
    while (run->size > 0 && (run->said[run->size - 1] == '\n' || run->said[run->size - 1] == ' ')) {
        run->size--;
    }
    run->said[run->size] = '\0';
    run->pid = 0;
    px_source_remove(PX_STEAL(run->end_source));
    run->ended(run->context, info.si_code == CLD_EXITED ? info.si_status : -1, run->said);
}

static px_err open_run(px_run *run, char *const argv[], const char *input, px_error *reterr)
{
    int line[2];
    int in = input != NULL ? open(input, O_RDONLY | O_CLOEXEC) : -1;
    if (input != NULL && in < 0) {
        return px_error_set(reterr, PX_ENOENT, "cannot read %s: %s", input, strerror(errno));
    }
    if (pipe2(line, O_CLOEXEC) != 0) {
        px_child_close(in);
        return px_error_set(reterr, PX_ESYS, "cannot make a pipe: %s", strerror(errno));
    }
    const px_child child = {.argv = argv, .in = in, .out = line[1], .err = line[1]};
    int err = px_child_start(&child, &run->pid);
    px_child_close(in);
    (void)close(line[1]);
    run->from = line[0];
    (void)fcntl(run->from, F_SETFL, O_NONBLOCK);
    if (err != 0) {
        run->pid = 0;
        return px_error_set(reterr, PX_ENOENT, "cannot run %s: %s", argv[0], strerror(err));
    }
    run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
    return run->pidfd >= 0 ? PX_OK : px_err_from_errno(errno);
}

px_err px_run_start(px_loop *loop, const px_run_what *what, px_run **ret_run, px_error *reterr)
{
    px_run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    run->pidfd = run->from = -1;
    run->ended = what->ended;
    run->context = what->context;
    px_err err = open_run(run, what->argv, what->input, reterr);
    err = err == PX_OK ? px_loop_add_fd(loop, "run", run->from, PX_READABLE, said_something, run,
                                        &run->from_source)
                       : err;
    err = err == PX_OK ? px_loop_add_fd(loop, "run end", run->pidfd, PX_READABLE, has_ended, run,
                                        &run->end_source)
                       : err;
    if (err != PX_OK) {
        px_run_free(run);
        return err;
    }
    *ret_run = run;
    return PX_OK;
}

void px_run_signal(const px_run *run, int signum)
{
    if (run != NULL && run->pid > 0) {
        (void)kill(run->pid, signum); // it may be gone by now
    }
}

void px_run_free(px_run *run)
{
    if (run == NULL) {
        return;
    }
    px_source_remove(run->from_source);
    px_source_remove(run->end_source);
    if (run->pid > 0) {
        (void)kill(run->pid, SIGKILL);
        while (waitpid(run->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    px_child_close(run->pidfd);
    px_child_close(run->from);
    free(run);
}
