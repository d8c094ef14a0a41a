// Small files that other processes read while we write them: always whole, never readable by others
// for an instant. The new text goes to a file of its own beside the old one, made with O_EXCL and
// its final mode, and is renamed over it.
#include "px/connection.h"
#include "px/id.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static px_err write_all(int fd, const void *data, size_t size)
{
    const char *from = data;

    while (size > 0) {
        ssize_t written = write(fd, from, size);
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            return px_err_from_errno(errno);
        }
        from += written;
        size -= (size_t)written;
    }
    return PX_OK;
}

static px_err report(px_error *reterr, const char *what, const char *path)
{
    int errnum = errno;
    char text[128];
    const char *reason = strerror_r(errnum, text, sizeof(text));

    return px_error_set(reterr, px_err_from_errno(errnum), "cannot %s %s: %s", what, path, reason);
}

px_err px_file_replace(const char *path, const void *data, size_t size, unsigned mode,
                       px_error *reterr)
{
    char temporary[PATH_MAX];
    char suffix[17];

    PX_TRY(px_random_hex(suffix, 8));
    int length = snprintf(temporary, sizeof(temporary), "%s.%s", path, suffix);
    if (length < 0 || (size_t)length >= sizeof(temporary)) {
        return px_error_set(reterr, PX_EINVAL, "the path %.200s… is too long", path);
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return report(reterr, "create", temporary);
    }
    px_err err = write_all(fd, data, size);
    if (err == PX_OK && fchmod(fd, mode) != 0) { // whatever the umask took away
        err = px_err_from_errno(errno);
    }
    if (err != PX_OK) {
        (void)report(reterr, "write", temporary);
    }
    (void)close(fd); // the data is with the kernel
    if (err == PX_OK && rename(temporary, path) != 0) {
        err = report(reterr, "replace", path);
    }
    if (err != PX_OK) {
        (void)unlink(temporary); // the failure is being reported already
    }
    return err;
}

static px_err read_all(int fd, size_t limit, char **ret_text, size_t *ret_size)
{
    struct stat status;

    if (fstat(fd, &status) != 0) {
        return px_err_from_errno(errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return PX_EINVAL;
    }
    if (status.st_size > (off_t)limit) {
        return PX_ETOOBIG;
    }
    char *text = malloc(limit + 1);
    if (text == NULL) {
        return PX_ENOMEM;
    }
    size_t size = 0;
    while (size <= limit) {
        ssize_t got = read(fd, text + size, limit + 1 - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            px_err err = px_err_from_errno(errno);
            free(text);
            return err;
        }
        if (got == 0) {
            text[size] = '\0';
            *ret_text = text;
            *ret_size = size;
            return PX_OK;
        }
        size += (size_t)got;
    }
    free(text);
    return PX_ETOOBIG;
}

px_err px_file_read(const char *path, size_t limit, char **ret_text, size_t *ret_size,
                    px_error *reterr)
{
    // O_NONBLOCK: a FIFO in the file's place must not stop us.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return report(reterr, "read", path);
    }
    px_err err = read_all(fd, limit, ret_text, ret_size);
    (void)close(fd); // opened for reading only
    if (err == PX_EINVAL) {
        return px_error_set(reterr, err, "%s is not a regular file", path);
    }
    if (err != PX_OK) {
        return px_error_set(reterr, err, "cannot read %s: %s", path, px_err_text(err));
    }
    return PX_OK;
}
