// Packets with descriptors over Unix sockets, between processes of one user.

#include "warm/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * (PX_WARM_MAX_FDS + 2))];
} control;

bool px_warm_send(int socket, const void *data, size_t size, const int *fds, int n_fds)
{
    control room = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (n_fds > 0) {
        size_t bytes = sizeof(int) * (size_t)n_fds;
        message.msg_control = room.bytes;
        message.msg_controllen = CMSG_SPACE(bytes);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(bytes);
        memcpy(CMSG_DATA(header), fds, bytes);
    }
    ssize_t n;
    do {
        n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)size;
}

ssize_t px_warm_receive(int socket, void *data, size_t size, int *ret_fds, int max_fds,
                        int *ret_n_fds)
{
    control room = {0};
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             .msg_controllen = sizeof(room.bytes)};
    ssize_t n;
    int count = 0;
    do {
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    for (struct cmsghdr *header = n < 0 ? NULL : CMSG_FIRSTHDR(&message); header != NULL;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        int n_fds = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < n_fds; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + sizeof(int) * (size_t)i, sizeof(fd));
            if (count < max_fds) {
                ret_fds[count++] = fd;
            } else {
                (void)close(fd);
            }
        }
    }
    if (ret_n_fds != NULL) {
        *ret_n_fds = count;
    }
    return (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ? -1 : n;
}

int px_warm_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    socklen_t length = sizeof(peer);
    size_t size = strlen(path);
    if (size >= sizeof(address.sun_path)) {
        return -1;
    }
    memcpy(address.sun_path, path, size);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != geteuid()) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

// split makes a list of n texts that stand one behind the other; NULL when they do not fill it.
static char **split(const char **at, const char *end, uint32_t n)
{
    char **list = calloc((size_t)n + 1, sizeof(char *));
    for (uint32_t i = 0; list != NULL && i < n; i++) {
        const char *nul = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;
        if (nul == NULL) {
            free(list);
            return NULL;
        }
        list[i] = (char *)(uintptr_t)*at;
        *at = nul + 1;
    }
    return list;
}

bool px_ask_unpack(const px_ask *ask, size_t size, px_ask_texts *ret_texts)
{
    const char *at = (const char *)(ask + 1);
    const char *end = (const char *)ask + size;
    *ret_texts = (px_ask_texts){0};
    if (size < sizeof(*ask) || ask->size != size || ask->n_fds > PX_WARM_MAX_FDS ||
        ask->identity_size == 0 || ask->identity_size > size - sizeof(*ask) ||
        at[ask->identity_size - 1] != '\0' || ask->n_arguments == 0 || ask->n_arguments > size ||
        ask->n_variables > size) {
        return false;
    }
    ret_texts->identity = at;
    at += ask->identity_size;
    ret_texts->arguments = split(&at, end, ask->n_arguments);
    ret_texts->variables = ret_texts->arguments != NULL ? split(&at, end, ask->n_variables) : NULL;
    if (ret_texts->variables == NULL || at != end) {
        free((void *)ret_texts->arguments);
        free((void *)ret_texts->variables);
        *ret_texts = (px_ask_texts){0};
        return false;
    }
    return true;
}
