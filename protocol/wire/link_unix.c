// Unix sockets for links: any length of path, mode 0600, and nobody but our own user at the other
// end.
//
// A socket's address holds 107 bytes of path. A longer path is reached through its folder's
// descriptor: /proc/self/fd/<n>/<name> is short and names the same file.
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static px_err fail(px_error *reterr, int errnum, const char *what, const char *path)
{
    char text[128];
    const char *reason = strerror_r(errnum, text, sizeof(text));

    return px_error_set(reterr, px_err_from_errno(errnum), "cannot %s %s: %s", what, path, reason);
}

// Writes the address of path; *folder_fd (-1 when not needed) must stay open until it was used.
static int make_address(const char *path, struct sockaddr_un *address, int *folder_fd)
{
    char folder[4096];
    const char *name = strrchr(path, '/');

    *folder_fd = -1;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) < sizeof(address->sun_path)) {
        memcpy(address->sun_path, path, strlen(path) + 1);
        return 0;
    }
    if (name == NULL || (size_t)(name - path) >= sizeof(folder)) {
        return ENAMETOOLONG;
    }
    memcpy(folder, path, (size_t)(name - path));
    folder[name - path] = '\0';
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int length =
        snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d%s", fd, name);
    if (length < 0 || (size_t)length >= sizeof(address->sun_path)) {
        (void)close(fd); // only a path
        return ENAMETOOLONG;
    }
    *folder_fd = fd;
    return 0;
}

static int bind_and_listen(int fd, const char *path, const struct sockaddr_un *address)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        return errno;
    }
    if (fchmod(fd, 0600) != 0 || // the socket file gets the socket's own mode
        bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
        chmod(path, 0600) != 0 || listen(fd, BACKLOG) != 0) {
        return errno;
    }
    return 0;
}

px_err px_link_listen(const char *path, int *ret_fd, px_error *reterr)
{
    struct sockaddr_un address;
    int folder_fd = -1;

    int errnum = make_address(path, &address, &folder_fd);
    if (errnum != 0) {
        return fail(reterr, errnum, "listen on", path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    errnum = fd < 0 ? errno : bind_and_listen(fd, path, &address);
    if (folder_fd >= 0) {
        (void)close(folder_fd); // only a path
    }
    if (errnum != 0) {
        if (fd >= 0) {
            (void)close(fd); // it was never used
        }
        return fail(reterr, errnum, "listen on", path);
    }
    *ret_fd = fd;
    return PX_OK;
}

static bool peer_is_ours(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

px_err px_link_accept(int listener, uint64_t max_bytes, px_link **ret_link)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        // The peer gave up meanwhile: as if it had never come.
        return errno == EINTR || errno == ECONNABORTED ? PX_EAGAIN : px_err_from_errno(errno);
    }
    px_err err = peer_is_ours(fd) ? px_link_adopt(fd, max_bytes, ret_link) : PX_EPERM;
    if (err != PX_OK) {
        (void)close(fd); // nothing was sent
    }
    return err;
}

// Connects in blocking mode: a Unix socket connects at once, or waits for a place in the queue of a
// busy listener.
static int connect_to(int fd, const struct sockaddr_un *address)
{
    while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return errno;
    }
    return peer_is_ours(fd) ? 0 : EPERM;
}

px_err px_link_dial(const char *path, int *ret_fd, px_error *reterr)
{
    struct sockaddr_un address;
    int folder_fd = -1;

    int errnum = make_address(path, &address, &folder_fd);
    if (errnum != 0) {
        return fail(reterr, errnum, "connect to", path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    errnum = fd < 0 ? errno : connect_to(fd, &address);
    if (folder_fd >= 0) {
        (void)close(folder_fd); // only a path
    }
    if (errnum != 0) {
        if (fd >= 0) {
            (void)close(fd); // nothing was sent
        }
        return fail(reterr, errnum, "connect to", path);
    }
    *ret_fd = fd;
    return PX_OK;
}

px_err px_link_connect(const char *path, px_link **ret_link, px_error *reterr)
{
    int fd = -1;
    PX_TRY(px_link_dial(path, &fd, reterr));
    px_err err = px_link_adopt(fd, PX_LINK_MAX_BYTES, ret_link);
    if (err != PX_OK) {
        (void)close(fd); // nothing was sent
    }
    return err;
}
