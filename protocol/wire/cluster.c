// The route frame, and the folder in which a cluster lives.
//
// A controller holds the flock of the folder's `lock` for its life; the kernel drops it however the
// controller ends. So "alive" is a question to the kernel, never to a pid file, and whoever gets
// the lock of a folder may remove it. The lock file may be removed by its holder only, and a lock
// counts only while the file is still the one that the path names: that closes the race between a
// sweep and a start.
#include "px/cluster.h"

#include "little.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

px_err px_route_decode(px_slice frame, px_route *ret_route)
{
    if (frame.size < PX_ROUTE_SIZE || frame.data[0] != PX_ROUTE_VERSION) {
        return PX_EFORMAT;
    }
    const px_route route = {.kind = frame.data[1],
                            .flags = (uint16_t)px__get(frame.data + 2, 2),
                            .client = (uint32_t)px__get(frame.data + 4, 4),
                            .task = px__get(frame.data + 8, 8),
                            .n = (uint32_t)px__get(frame.data + 16, 4),
                            .engines = frame.data + PX_ROUTE_SIZE};
    if (route.kind < PX_ROUTE_REQUEST || route.kind > PX_ROUTE_FETCH ||
        px__get(frame.data + 20, 4) != 0 || route.n > PX_ROUTE_MAX_ENGINES ||
        frame.size != PX_ROUTE_SIZE + (size_t)4 * route.n) {
        return PX_EFORMAT;
    }
    *ret_route = route;
    return PX_OK;
}

uint32_t px_route_engine(const px_route *route, uint32_t index)
{
    return (uint32_t)px__get(route->engines + (size_t)4 * index, 4);
}

px_err px_route_encode(const px_route *route, const uint32_t *engines, px_bytes **ret_frame)
{
    uint8_t *wire;

    if (route->n > PX_ROUTE_MAX_ENGINES) {
        return PX_ETOOBIG;
    }
    PX_TRY(px_bytes_new(PX_ROUTE_SIZE + (size_t)4 * route->n, &wire, ret_frame));
    wire[0] = PX_ROUTE_VERSION;
    wire[1] = route->kind;
    px__put(wire + 2, route->flags, 2);
    px__put(wire + 4, route->client, 4);
    px__put(wire + 8, route->task, 8);
    px__put(wire + 16, route->n, 4);
    px__put(wire + 20, 0, 4);
    for (uint32_t i = 0; i < route->n; i++) {
        px__put(wire + PX_ROUTE_SIZE + (size_t)4 * i, engines[i], 4);
    }
    return PX_OK;
}

px_err px_route_push(px_frames *frames, const px_route *route, const uint32_t *engines)
{
    px_bytes *frame = NULL;
    PX_TRY(px_route_encode(route, engines, &frame));
    px_err err = px_frames_push(frames, frame);
    if (err != PX_OK) {
        px_bytes_unref(frame);
    }
    return err;
}

static px_err fail(px_error *reterr, const char *what, const char *path)
{
    int errnum = errno;
    char text[128];
    const char *reason = strerror_r(errnum, text, sizeof(text));

    return px_error_set(reterr, px_err_from_errno(errnum), "cannot %s %s: %s", what, path, reason);
}

// Makes the folder 0700, or checks that what is there is ours alone.
static px_err private_folder(const char *path, px_error *reterr)
{
    struct stat status;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return fail(reterr, "create", path);
    }
    if (lstat(path, &status) != 0) {
        return fail(reterr, "look at", path);
    }
    if (!S_ISDIR(status.st_mode)) {
        return px_error_set(reterr, PX_EPERM, "%s is not a folder; remove it", path);
    }
    if (status.st_uid != geteuid()) {
        return px_error_set(reterr, PX_EPERM,
                            "%s belongs to another user; set PX_RUNTIME_DIR to a folder of your "
                            "own",
                            path);
    }
    if ((status.st_mode & 077) != 0) {
        return px_error_set(reterr, PX_EPERM, "%s is open to other users; chmod 700 it", path);
    }
    return PX_OK;
}

px_err px_cluster_root(char ret_path[PATH_MAX], px_error *reterr)
{
    const char *wanted = getenv("PX_RUNTIME_DIR");
    int length = 0;

    if (wanted != NULL && *wanted != '\0') {
        if (*wanted != '/') {
            return px_error_set(reterr, PX_EINVAL,
                                "PX_RUNTIME_DIR must be an absolute path, not "
                                "%.200s",
                                wanted);
        }
        length = snprintf(ret_path, PATH_MAX, "%s", wanted);
    } else {
        length = snprintf(ret_path, PATH_MAX, "/tmp/pxkernel-%ld", (long)geteuid());
    }
    if (length < 0 || length >= PATH_MAX - 128) {
        return px_error_set(reterr, PX_EINVAL, "PX_RUNTIME_DIR is too long");
    }
    return private_folder(ret_path, reterr);
}

bool px_cluster_name_valid(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789._-");
    return length >= 1 && length <= 64 && name[length] == '\0' && name[0] != '.';
}

px_err px_cluster_folder(const char *name, char ret_path[PATH_MAX], px_error *reterr)
{
    if (!px_cluster_name_valid(name)) {
        return px_error_set(reterr, PX_EINVAL,
                            "\"%.64s\" is not a cluster name: use 1 to 64 letters, digits, dots, "
                            "dashes and underscores, no dot first",
                            name);
    }
    PX_TRY(px_cluster_root(ret_path, reterr));
    size_t length = strlen(ret_path);
    (void)snprintf(ret_path + length, PATH_MAX - length, "/%s", name); // root left room
    return PX_OK;
}

// Tells if fd still is the file that the path names.
static bool still_there(int fd, const char *path)
{
    struct stat by_fd;
    struct stat by_path;

    return fstat(fd, &by_fd) == 0 && lstat(path, &by_path) == 0 && by_fd.st_ino == by_path.st_ino &&
           by_fd.st_dev == by_path.st_dev;
}

static bool lock_path(const char *folder, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/lock", folder);
    return length > 0 && length < PATH_MAX;
}

px_err px_cluster_lock(const char *folder, int *ret_fd, px_error *reterr)
{
    char path[PATH_MAX];

    if (!lock_path(folder, path)) {
        return px_error_set(reterr, PX_EINVAL, "the path of the cluster's folder is too long");
    }
    // A few rounds: somebody who only asks whether we are alive holds the lock for an instant, and
    // a sweep may take folder and file away under us.
    for (int round = 0; round < 50; round++) {
        PX_TRY(private_folder(folder, reterr));
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno != ENOENT) {
            return fail(reterr, "create", path);
        }
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && still_there(fd, path)) {
            *ret_fd = fd;
            return PX_OK;
        }
        if (fd >= 0) {
            (void)close(fd); // nothing was written
        }
        (void)poll(NULL, 0, 2); // there is nothing to wait for but time
    }
    return px_error_set(reterr, PX_EEXIST, "another controller works in %s", folder);
}

bool px_cluster_alive(const char *folder)
{
    char path[PATH_MAX];

    if (!lock_path(folder, path)) {
        return false;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return false;
    }
    bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    (void)close(fd); // opened for reading only
    return locked;
}

static bool remove_content(const char *folder)
{
    DIR *listing = opendir(folder);
    if (listing == NULL) {
        return false;
    }
    const struct dirent *entry;
    while ((entry = readdir(listing)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "lock") != 0) {
            (void)unlinkat(dirfd(listing), entry->d_name, 0); // a folder in it stops the rmdir
        }
    }
    (void)unlinkat(dirfd(listing), "lock", 0); // last: until then we hold the folder
    (void)closedir(listing);                   // opened for reading only
    return rmdir(folder) == 0;
}

bool px_cluster_sweep(const char *folder)
{
    char path[PATH_MAX];
    struct stat status;
    bool removed = false;

    if (!lock_path(folder, path) || lstat(folder, &status) != 0 || !S_ISDIR(status.st_mode) ||
        status.st_uid != geteuid()) {
        return false;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && still_there(fd, path)) {
        removed = remove_content(folder);
    }
    (void)close(fd); // gives the lock back
    return removed;
}
