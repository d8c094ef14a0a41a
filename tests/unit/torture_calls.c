// System calls that fail when they are told to (torture.h). The linker sends our calls to __wrap_x,
// and __real_x to the C library (--wrap); CMakeLists.txt has the same list.

#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static long countdown;
static int errnum_of_it;
static int failed;

void torture_call_fail_at(long n, int errnum)
{
    countdown = n;
    errnum_of_it = errnum;
    failed = 0;
}

int torture_call_failed(void)
{
    return failed;
}

static int must_fail(void)
{
    if (countdown > 0 && --countdown == 0) {
        failed = 1;
        errno = errnum_of_it;
        return 1;
    }
    return 0;
}

// WRAP(what it gives, name, parameters in brackets, their names in brackets).
#define WRAP(type, name, parameters, names)                                                        \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return must_fail() ? (type)-1 : __real_##name names;                                       \
    }

WRAP(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size))
WRAP(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
WRAP(ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at))
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
WRAP(ssize_t, getrandom, (void *bytes, size_t size, unsigned flags), (bytes, size, flags))
WRAP(int, fstat, (int fd, struct stat *status), (fd, status))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, flock, (int fd, int operation), (fd, operation))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, bind, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP(int, listen, (int fd, int backlog), (fd, backlog))
WRAP(int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags),
     (fd, address, size, flags))
WRAP(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *size),
     (fd, level, option, value, size))
WRAP(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size),
     (fd, level, option, value, size))
WRAP(int, epoll_create1, (int flags), (flags))
WRAP(int, epoll_ctl, (int fd, int operation, int target, struct epoll_event *event),
     (fd, operation, target, event))
WRAP(int, epoll_wait, (int fd, struct epoll_event *events, int size, int timeout),
     (fd, events, size, timeout))
WRAP(int, poll, (struct pollfd * items, nfds_t n, int timeout), (items, n, timeout))
WRAP(int, eventfd, (unsigned count, int flags), (count, flags))
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return must_fail() ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    long argument = va_arg(rest, long);
    va_end(rest);
    return must_fail() ? -1 : __real_fcntl(fd, command, argument);
}
