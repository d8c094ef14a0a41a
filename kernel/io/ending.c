// How a kernel ends.
//
// The answer to shutdown_request leaves at once. Then px-main is asked to leave its loop
// (PX_NOTICE_EXIT); a cell that runs is interrupted. If px-main has not ended the process by
// PX_ENDING_DEADLINE, because C code holds the GIL or user code will not stop, px-io flushes and
// ends it: exit status 0 all the same, since that is what was asked for.
//
// Other processes of our process group (children of cells) get SIGTERM at the beginning and SIGKILL
// at the end, when we lead the group, as front ends expect. multiprocessing's resource tracker is
// left alone: it ends with us, after cleaning up.

#include "io/io.h"
#include "io/need.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PX_ENDING_AGAIN (500 * PX_NS_PER_MS) // a second interrupt
#define PX_ENDING_DEADLINE (2 * PX_NS_PER_S) // and no longer

static void press_on(void *context, px_ns now)
{
    px_io *io = context;
    if (io->ending_step++ == 0) {
        (void)px_interrupt_send(&io->kernel->interrupt, false); // best effort: the deadline follows
        px_timer_set(io->ending_timer, now + PX_ENDING_DEADLINE - PX_ENDING_AGAIN);
        return;
    }
    px_log_warning("Python did not end in time, ending without it", "deadline_s=2");
    px_capture_stop(&io->kernel->capture);
    px_io_drain(io, true);
    px_doors_close(io);
    io->transport->ops->close(io->transport);
    px_ending_group(true);
    px_witness_leaving(io->kernel, 0);
    _exit(0);
}

void px_ending_begin(px_io *io, bool restart)
{
    px_kernel *kernel = io->kernel;
    if (atomic_exchange(&kernel->exiting, true)) {
        return;
    }
    atomic_store(&kernel->restart, restart);
    px_witness_asked(kernel);
    px_letter *letter = px_need_zeroed(sizeof(*letter));
    letter->kind = PX_NOTICE_EXIT;
    px_mailbox_post(&kernel->inbox, letter);
    (void)px_interrupt_send(&kernel->interrupt, false); // nothing runs: nothing to do
    px_ending_group(false);
    px_must(px_loop_add_timer(io->loop, "ending", px_now() + PX_ENDING_AGAIN, 0, press_on, io,
                              &io->ending_timer));
}

// --- the process group --------------------------------------------------------------------------

// read_small reads a small file of /proc; false when the process is gone.
static bool read_small(const char *pid, const char *name, char *text, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%.20s/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, text, size - 1);
    (void)close(fd);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    for (ssize_t i = 0; i < n; i++) {
        text[i] = text[i] == '\0' ? ' ' : text[i];
    }
    return true;
}

// in_group tells if a process, by its name in /proc, is another one of our group, and not a zombie.
// Its group is asked for first: to read its state takes a hundred times as long.
static bool in_group(const char *name, pid_t group, pid_t *ret_pid)
{
    char text[512];
    long long pid = 0;
    if (px_parse_number(name, 1, INT_MAX, &pid) != PX_OK || getpgid((pid_t)pid) != group ||
        pid == getpid() || !read_small(name, "stat", text, sizeof(text))) {
        return false;
    }
    *ret_pid = (pid_t)pid;
    // The state is behind the second field, which may hold anything in brackets.
    const char *rest = strrchr(text, ')');
    return rest != NULL && rest[1] == ' ' && rest[2] != 'Z';
}

static bool cleans_up_itself(const char *name)
{
    char text[1024];
    return read_small(name, "cmdline", text, sizeof(text)) &&
           strstr(text, "multiprocessing.resource_tracker") != NULL;
}

void px_ending_group(bool force)
{
    static atomic_bool looked; // and there was nobody
    bool found = false;
    if (getpgrp() != getpid() || (force && atomic_load(&looked))) {
        return;
    }
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(proc)) != NULL) { // NOLINT(concurrency-mt-unsafe): a stream of our own
        pid_t pid = 0;
        if (in_group(entry->d_name, getpgrp(), &pid) && !cleans_up_itself(entry->d_name)) {
            (void)kill(pid, force ? SIGKILL : SIGTERM); // it may be gone by now
            found = true;
        }
    }
    (void)closedir(proc);
    atomic_store(&looked, !found);
}

// --- the parent ---------------------------------------------------------------------------------

// cut_off tells if nobody is left at the other end of the standard descriptors: all of them that
// are pipes or sockets are broken, and there is one. A kernel that was put into the background on
// purpose has files or a terminal there.
static bool cut_off(const px_capture *capture)
{
    int broken = 0;
    for (int fd = 0; fd < 3; fd++) {
        struct stat status;
        int real = fd == 0 ? 0 : px_capture_original(capture, fd - 1);
        if (fstat(real, &status) != 0 || !(S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode))) {
            continue;
        }
        struct pollfd item = {.fd = real};
        if (poll(&item, 1, 0) != 1 || (item.revents & (POLLHUP | POLLERR)) == 0) {
            return false;
        }
        broken++;
    }
    return broken > 0;
}

static void parent_gone(void *context, int events)
{
    (void)events;
    px_io *io = context;
    if (io->parent_named || cut_off(&io->kernel->capture)) {
        px_io_lost(io, "the process that started the kernel is gone");
    } else {
        px_source_remove(io->parent_source); // it was left running on purpose
        io->parent_source = NULL;
    }
}

// open_parent gives a pidfd of the process that started this kernel; -1: it is gone (*ret_gone
// tells), or nobody is to be watched.
static int open_parent(const px_warm_child *child, bool *ret_gone)
{
    pid_t parent = getppid();
    if (child != NULL) {
        return child->parent; // of the shim, which stands for us
    }
    if (parent <= 1) {
        return -1;
    }
    int fd = (int)syscall(SYS_pidfd_open, parent, 0);
    *ret_gone = fd < 0 || getppid() != parent;
    return fd;
}

void px_ending_watch_parent(px_io *io)
{
    const char *named = getenv("JPY_PARENT_PID");
    long long wanted = 0;
    bool gone = false;
    io->parent_named = named != NULL && px_parse_number(named, 2, INT_MAX, &wanted) == PX_OK;
    if (io->kernel->config.engine && !io->parent_named) {
        return; // it ends with its controller
    }
    // A wrapper may stand between: then its end is ours, as it is for ipykernel (which watches for
    // ppid 1).
    io->parent_fd = open_parent(io->kernel->witness.child, &gone);
    if (gone && io->parent_named) {
        px_io_lost(io, "the process that started the kernel is gone");
        return;
    }
    if (gone || io->parent_fd < 0) {
        return;
    }
    px_err err = px_loop_add_fd(io->loop, "parent", io->parent_fd, PX_READABLE, parent_gone, io,
                                &io->parent_source);
    if (err != PX_OK) {
        px_log_warning("the parent process is not watched", "cause=%s", px_err_text(err));
    }
}
