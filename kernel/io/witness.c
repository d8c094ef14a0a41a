// A kernel's side of its keeper. The keeper is told twice: once at the start, with everything that
// it needs to say how this kernel ended; and once when the kernel has had nothing to do for a
// second, because that is a good moment to load Python for the next one. After that nothing here
// wakes up any more.

#include "io/witness.h"

#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_EVERY PX_NS_PER_S
// The keeper's argument that only takes room: its forks write their own arguments over it.
#define TITLE_ROOM 2048

static px_last_words *make_page(int *ret_fd)
{
    int fd = memfd_create("px-words", MFD_CLOEXEC);
    void *page = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, PX_WORDS_FAULT) == 0 && lseek(fd, PX_WORDS_FAULT, SEEK_SET) >= 0) {
        page = mmap(NULL, PX_WORDS_FAULT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (page == MAP_FAILED) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return NULL;
    }
    *ret_fd = fd;
    return page;
}

static px_tell tell_of(const px_kernel *kernel, uint32_t kind)
{
    const char *named = getenv("JPY_PARENT_PID");
    long long manager = 0;
    px_tell tell = {.kind = kind, .pid = getpid()};
    if (named != NULL && px_parse_number(named, 2, INT_MAX, &manager) == PX_OK) {
        tell.manager = (int32_t)manager;
    }
    (void)snprintf(tell.connection_file, sizeof(tell.connection_file), "%s",
                   kernel->config.connection_file);
    return tell;
}

static bool say_here(px_kernel *kernel, int to)
{
    const px_tell tell = tell_of(kernel, PX_TELL_HERE);
    int words = kernel->witness.words_fd;
    int pipe = px_capture_fd(&kernel->capture, 1);
    int fds[3] = {(int)syscall(SYS_pidfd_open, getpid(), 0), words, pipe >= 0 ? pipe : words};
    bool said = fds[0] >= 0 && px_warm_send(to, &tell, sizeof(tell), fds, 3);
    if (fds[0] >= 0) {
        (void)close(fds[0]);
    }
    return said;
}

// become_keeper runs in a grandchild: nobody's child but init's, in a session of its own.
_Noreturn static void become_keeper(const char *program, int ear)
{
    char room[TITLE_ROOM];
    char *const arguments[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "--keeper", room,
                               NULL};
    memset(room, ' ', sizeof(room) - 1);
    room[sizeof(room) - 1] = '\0';
    if (setsid() >= 0 && dup2(ear, 3) == 3) {
        (void)close_range(4, ~0U, CLOSE_RANGE_CLOEXEC);
        (void)execv(program, arguments);
    }
    _exit(127);
}

// start_keeper makes a process that is not our child, so that no wait() of a user's ever sees it.
// What it is to be told waits in the socket pair.
static void start_keeper(px_kernel *kernel)
{
    char program[PATH_MAX];
    int ends[2];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n <= 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return;
    }
    program[n] = '\0';
    if (say_here(kernel, ends[0])) {
        pid_t between = fork();
        if (between == 0) {
            if (fork() == 0) {
                become_keeper(program, ends[1]);
            }
            _exit(0);
        }
        while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
}

void px_witness_begin(px_kernel *kernel)
{
    px_witness *w = &kernel->witness;
    px_identity identity = {0};
    w->words_fd = -1;
    if (kernel->config.engine || w->environment == NULL || px_warm_seconds() < 0 ||
        kernel->config.no_warm) {
        return;
    }
    if (w->child != NULL) {
        (void)snprintf(w->keep, sizeof(w->keep), "%s", w->child->keep);
    } else if (px_identity_of(w->environment, true, &identity)) {
        (void)snprintf(w->keep, sizeof(w->keep), "%s", identity.keep);
        px_identity_done(&identity);
    } else {
        return;
    }
    w->words = make_page(&w->words_fd);
    if (w->words == NULL) {
        return;
    }
    atomic_store(&kernel->capture.words, w->words);
    int keeper = px_warm_connect(w->keep);
    if (keeper >= 0) {
        (void)say_here(kernel, keeper);
        (void)close(keeper);
    } else if (w->child == NULL) {
        start_keeper(kernel);
    }
}

// --- on px-io ------------------------------------------------------------------------------------

static void look(void *context, px_ns now)
{
    px_io *io = context;
    px_kernel *kernel = io->kernel;
    px_witness *w = &kernel->witness;
    bool quiet = atomic_load(&kernel->ready) && !px_interrupt_busy(&kernel->interrupt) &&
                 io->n_requests == w->seen;
    w->seen = io->n_requests;
    if (!quiet) {
        px_timer_set(w->idle, now + LOOK_EVERY);
        return;
    }
    px_timer_remove(w->idle);
    w->idle = NULL;
    int keeper = px_warm_connect(w->keep);
    if (keeper >= 0) {
        const px_tell tell = tell_of(kernel, PX_TELL_IDLE);
        (void)px_warm_send(keeper, &tell, sizeof(tell), NULL, 0); // it may be gone: then cold
        (void)close(keeper);
    }
}

// shim_gone: the process that stands for this one was killed. So are we, and all of our group.
static void shim_gone(void *context, int events)
{
    (void)context;
    (void)events;
    if (getpgrp() == getpid()) {
        (void)kill(0, SIGKILL);
    }
    (void)raise(SIGKILL);
}

void px_witness_watch(px_io *io)
{
    px_kernel *kernel = io->kernel;
    px_witness *w = &kernel->witness;
    px_err err = PX_OK;
    if (w->child != NULL) {
        px_source *source = NULL;
        err = px_loop_add_fd(io->loop, "shim", w->child->link, PX_READABLE, shim_gone, io, &source);
    } else if (w->environment != NULL && !kernel->config.engine) {
        err = px_loop_add_timer(io->loop, "idle", px_now() + LOOK_EVERY, 0, look, io, &w->idle);
    }
    if (err != PX_OK) {
        px_log_warning("the keeper is not told", "cause=%s", px_err_text(err));
    }
}

// --- the end -------------------------------------------------------------------------------------

void px_witness_asked(px_kernel *kernel)
{
    if (kernel->witness.words != NULL) {
        atomic_store(&kernel->witness.words->asked, 1);
    }
}

void px_witness_leaving(const px_kernel *kernel, int status)
{
    const px_answer_word word = {.kind = PX_WORD_LEAVING, .value = status};
    if (kernel->witness.child != NULL) {
        (void)px_warm_send(kernel->witness.child->link, &word, sizeof(word), NULL, 0);
    }
}
