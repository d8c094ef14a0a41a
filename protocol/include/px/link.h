// link.h: one connection inside a cluster: multipart messages over a Unix stream socket. To another
// host the other end of that socket is a tunnel (far.h): px_link_close then waits, for two seconds
// at most, until what was sent has left.
//
// On the wire (little endian): u32 magic 'PXL1', u32 n_frames, then n_frames × u64 sizes, then the
// frames' bytes. Limits are checked before memory is taken: PX_LINK_MAX_FRAMES frames, max_bytes in
// all.
//
// Sending: any thread; a mutex keeps messages whole and in order; the write is tried at once and
// what the socket does not take is queued (by reference, no copy) and written by the reader thread
// when the loop says writable. Receiving, flushing, closing: the one thread that owns the link. The
// end of the peer is seen at once as PX_ECLOSED.
#ifndef PX_LINK_H
#define PX_LINK_H

#include "px/err.h"
#include "px/frames.h"
#include "px/own.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PX_LINK_MAX_FRAMES 1024
#define PX_LINK_MAX_BYTES ((uint64_t)1 << 40)
#define PX_LINK_MAX_UNTRUSTED ((uint64_t)1 << 20) // before a peer has registered

typedef struct px_link px_link;

// px_link_listen makes path (removing a stale socket file), mode 0600, and listens. Non-blocking,
// close-on-exec.
px_err px_link_listen(const char *path, int *ret_fd, px_error *reterr);
// px_link_accept takes one connection; PX_EAGAIN when none waits, PX_EPERM when the peer's uid is
// not ours (closed already).
px_err px_link_accept(int listener, uint64_t max_bytes, px_link **ret_link);
// px_link_connect reaches path (of any length); PX_ENOENT, PX_EREFUSED with a sentence.
px_err px_link_connect(const char *path, px_link **ret_link, px_error *reterr);
// px_link_dial is the first half of it: the connected socket, non-blocking.
px_err px_link_dial(const char *path, int *ret_fd, px_error *reterr);
// px_link_adopt makes a link of a connected stream socket (takes fd).
px_err px_link_adopt(int fd, uint64_t max_bytes, px_link **ret_link);
// px_link_close drops what was queued, closes and frees. px_link_shutdown only ends the connection:
// any thread.
void px_link_close(px_link *link);
void px_link_shutdown(px_link *link);
PX_DEFINE_AUTO(px_link, px_link_close)

int px_link_fd(const px_link *link);
pid_t px_link_peer_pid(const px_link *link); // 0 when unknown
bool px_link_is_far(const px_link *link);    // its peer is reached over the network
// px_link_why says why a link over the network has ended, "" when there is nothing to say.
void px_link_why(const px_link *link, char *ret_text, size_t size);
void px_link_set_limit(px_link *link, uint64_t max_bytes);

// px_link_send queues and tries to write frames (shares them; they stay the caller's). Any thread.
// PX_ECLOSED when the peer is gone.
px_err px_link_send(px_link *link, const px_frames *frames);
// px_link_send_later only queues them, for a sender who knows that more will follow: many messages
// then leave in one system call. They leave with the next px_link_send, px_link_push or
// px_link_flush, or when much is queued; whoever keeps something back must see to that. Any thread.
px_err px_link_send_later(px_link *link, const px_frames *frames);
// px_link_push writes what was kept back. Any thread.
px_err px_link_push(px_link *link);
// px_link_recv gives the next whole message; PX_EAGAIN when there is none yet, PX_ECLOSED at the
// end, PX_EFORMAT for garbage (close it then).
px_err px_link_recv(px_link *link, px_frames *ret_frames);
// px_link_flush writes what is queued; call it when the loop says writable. PX_EAGAIN while more is
// queued.
px_err px_link_flush(px_link *link);
// px_link_wants_write tells if PX_WRITABLE should be waited for. A send from another thread that
// could not finish calls wake (set once, any thread, must be quick) so that the owner asks again.
bool px_link_wants_write(px_link *link);
void px_link_set_wake(px_link *link, void (*wake)(void *context), void *context);
size_t px_link_queued(px_link *link); // bytes not yet taken by the socket

#endif
