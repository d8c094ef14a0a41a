// A fork of the keeper becomes what the launcher would have become. All of this a process can do to
// itself; what it cannot is in the identity, which is equal.

#include "warm/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

// raise_all moves descriptors above everything that is open or will be: then the places below are
// free. They keep their order.
static bool raise_all(int *fds, int n, int above)
{
    for (int i = 0; i < n; i++) {
        above = fds[i] > above ? fds[i] : above;
    }
    for (int i = 0; i < n; i++) {
        int moved = fcntl(fds[i], F_DUPFD_CLOEXEC, above + 1);
        if (moved < 0) {
            return false;
        }
        above = fds[i] = moved;
    }
    return true;
}

// close_others closes every descriptor but those of the row, which is in rising order.
static void close_others(const int *row, int n)
{
    unsigned from = 0;
    for (int i = 0; i < n; i++) {
        if ((unsigned)row[i] > from) {
            (void)close_range(from, (unsigned)row[i] - 1, 0);
        }
        from = (unsigned)row[i] + 1;
    }
    (void)close_range(from, ~0U, 0);
}

static int lower(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (moved < 0) {
        return fd;
    }
    (void)close(fd);
    return moved;
}

// take_places puts the launcher's descriptors where they were, and closes all that was the
// keeper's. fds: the folder, the parent if there is one, the others, and last the link.
static bool take_places(const px_ask *ask, int *fds, int n)
{
    int first = ask->has_parent ? 2 : 1;
    int highest = 2;
    for (uint32_t i = 0; i < ask->n_fds; i++) {
        highest = ask->numbers[i] > highest ? ask->numbers[i] : highest;
    }
    if (!raise_all(fds, n, highest)) {
        return false;
    }
    close_others(fds, n);
    for (uint32_t i = 0; i < ask->n_fds; i++) {
        int from = fds[first + (int)i];
        if (dup2(from, ask->numbers[i]) < 0) {
            return false;
        }
        (void)close(from);
    }
    return true;
}

static bool take_limits(const px_ask *ask)
{
    for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
        if (setrlimit((__rlimit_resource_t)i, &ask->limits[i]) != 0) {
            return false;
        }
    }
    return sched_setaffinity(0, sizeof(ask->processors), &ask->processors) == 0;
}

bool px_adopt(const px_ask *ask, px_ask_texts *texts, int *fds, int n_fds, int *link,
              int *ret_parent)
{
    int row[PX_WARM_MAX_FDS + 3];
    int fixed = ask->has_parent ? 2 : 1;
    if (n_fds != fixed + (int)ask->n_fds || setsid() < 0) {
        return false;
    }
    memcpy(row, fds, sizeof(int) * (size_t)n_fds);
    row[n_fds] = *link;
    if (!take_places(ask, row, n_fds + 1) || fchdir(row[0]) != 0) {
        return false;
    }
    (void)close(row[0]);
    *ret_parent = ask->has_parent ? lower(row[1]) : -1;
    *link = lower(row[n_fds]);
    (void)umask((mode_t)ask->umask);
    environ = texts->variables; // the message stays for the life of the process
    return take_limits(ask);
}
