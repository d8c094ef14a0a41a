// doors.c: the sockets of an engine that front ends connect to (doors.h).
//
// The wish is made by px-main and carried out by px-io, which owns every socket: an eventfd goes
// there, another one comes back.

#include "io/doors.h"

#include "io/io.h"
#include "io/need.h"
#include "io/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void tell(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof(one)); // an eventfd that is full is readable already
}

static void heed(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof(count));
}

static px_err open_transport(px_io *io, px_transport *transport)
{
    px_doors *doors = &io->doors;
    const px_connection *connection = &doors->wish->connection;
    PX_TRY(px_session_new(px_slice_str(connection->key), connection->signature_scheme,
                          doors->wish->session_id, NULL, &transport->session, &doors->error));
    PX_TRY(px_session_clone(transport->session, &transport->verifier));
    return transport->ops->open(transport, io, &doors->error);
}

static void free_transport(px_transport *transport)
{
    px_session *session = transport->session, *verifier = transport->verifier;
    transport->ops->close(transport);
    px_session_free(session);
    px_session_free(verifier);
}

// asked binds. px-io.
static void asked(void *context, int events)
{
    (void)events;
    px_io *io = context;
    px_doors *doors = &io->doors;
    px_transport *transport = NULL;
    heed(doors->asked_fd);
    doors->err = px_transport_jupyter_new(doors->wish, &transport);
    if (doors->err == PX_OK) {
        doors->err = open_transport(io, transport);
    }
    if (doors->err == PX_OK) {
        atomic_store(&doors->transport, transport);
    } else if (transport != NULL) {
        free_transport(transport);
    }
    tell(doors->done_fd);
}

px_err px_doors_attach(px_io *io)
{
    px_doors *doors = &io->doors;
    if (!io->kernel->config.engine) {
        return PX_OK;
    }
    doors->asked_fd = eventfd(0, EFD_CLOEXEC);
    doors->done_fd = eventfd(0, EFD_CLOEXEC);
    if (doors->asked_fd < 0 || doors->done_fd < 0) {
        return px_err_from_errno(errno);
    }
    return px_loop_add_fd(io->loop, "doors", doors->asked_fd, PX_READABLE, asked, io, NULL);
}

void px_doors_close(px_io *io)
{
    px_doors *doors = &io->doors;
    px_transport *transport = atomic_exchange(&doors->transport, NULL);
    if (transport != NULL) {
        free_transport(transport);
    }
    free(PX_STEAL(doors->wish));
    if (doors->asked_fd >= 0) {
        (void)close(doors->asked_fd);
    }
    if (doors->done_fd >= 0) {
        (void)close(doors->done_fd);
    }
    doors->asked_fd = doors->done_fd = -1;
}

const px_config *px_doors_config(const px_kernel *kernel)
{
    const px_doors *doors = &kernel->io->doors;
    return atomic_load(&doors->transport) != NULL ? doors->wish : NULL;
}

px_err px_doors_open(px_kernel *kernel, px_config *wish, px_error *reterr)
{
    px_doors *doors = &kernel->io->doors;
    if (doors->asked_fd < 0 || px_doors_config(kernel) != NULL) {
        free(wish);
        return px_error_set(reterr, PX_EINVAL, "the sockets are there already");
    }
    free(doors->wish);
    doors->wish = wish;
    doors->error = (px_error){0};
    tell(doors->asked_fd);
    struct pollfd done = {.fd = doors->done_fd, .events = POLLIN};
    while (poll(&done, 1, -1) < 0 && errno == EINTR) {
    }
    heed(doors->done_fd);
    if (doors->err == PX_OK) {
        return PX_OK;
    }
    return px_error_set(reterr, doors->err, "no sockets for front ends: %s",
                        doors->error.text[0] != '\0' ? doors->error.text : px_err_text(doors->err));
}
