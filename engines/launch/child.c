// child.c: posix_spawn, with what it needs around it.

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static int set_descriptors(const px_child *child, posix_spawn_file_actions_t *actions)
{
    const int given[] = {child->in, child->out, child->err};
    int err = 0;
    for (int i = 0; err == 0 && i < 3; i++) {
        err = given[i] >= 0 ? posix_spawn_file_actions_adddup2(actions, given[i], i)
                            : posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
    }
    if (err == 0 && child->status > 0) {
        err = posix_spawn_file_actions_adddup2(actions, child->status, PX_CHILD_STATUS_FD);
        err = err == 0 ? posix_spawn_file_actions_addclosefrom_np(actions, PX_CHILD_STATUS_FD + 1)
                       : err;
    }
    return err;
}

static int set_attributes(const px_child *child, posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                (child->own_session ? POSIX_SPAWN_SETSID : 0);
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int err = posix_spawnattr_setsigmask(attributes, &none);
    err = err == 0 ? posix_spawnattr_setsigdefault(attributes, &all) : err;
    return err == 0 ? posix_spawnattr_setflags(attributes, (short)flags) : err;
}

int px_child_start(const px_child *child, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int err = posix_spawn_file_actions_init(&actions);
    if (err != 0) {
        return err;
    }
    err = posix_spawnattr_init(&attributes);
    if (err != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return err;
    }
    char *const *env = child->env != NULL ? child->env : environ;
    err = set_descriptors(child, &actions);
    err = err == 0 ? set_attributes(child, &attributes) : err;
    err = err == 0 ? posix_spawnp(ret_pid, child->argv[0], &actions, &attributes, child->argv, env)
                   : err;
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return err;
}

static void close_both(const int ends[2])
{
    (void)close(ends[0]);
    (void)close(ends[1]);
}

px_err px_child_line_start(const px_child *child, px_child_line *ret_line, px_error *reterr)
{
    int in[2], out[2];
    px_child with = *child;
    if (pipe2(in, O_CLOEXEC) != 0) {
        return px_error_set(reterr, PX_ESYS, "cannot make a pipe: %s", strerror(errno));
    }
    if (pipe2(out, O_CLOEXEC) != 0) {
        close_both(in);
        return px_error_set(reterr, PX_ESYS, "cannot make a pipe: %s", strerror(errno));
    }
    with.in = in[0];
    with.out = out[1];
    *ret_line = (px_child_line){.to = in[1], .from = out[0]};
    int err = px_child_start(&with, &ret_line->pid);
    if (err != 0) {
        close_both(in);
        close_both(out);
        return px_error_set(reterr, PX_ENOENT, "cannot start %s: %s", child->argv[0],
                            strerror(err));
    }
    (void)close(in[0]);
    (void)close(out[1]);
    return PX_OK;
}

void px_child_close(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}
