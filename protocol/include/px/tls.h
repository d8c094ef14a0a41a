// tls.h: an encrypted connection between two who hold the same key: TLS 1.3 with a pre-shared key
// made of the cluster's key (RFC 8446 section 2.2, with ephemeral keys: psk_dhe_ke). No
// certificates: who completes the handshake has the key, on both sides.
//
// A connection is one thread's at a time; a context may be shared.
#ifndef PX_TLS_H
#define PX_TLS_H

#include "px/buf.h"
#include "px/err.h"
#include "px/own.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct px_tls_context px_tls_context;
typedef struct px_tls px_tls;

// px_tls_context_new: key is the text of the cluster's key, name the cluster's. server: who
// accepts.
px_err px_tls_context_new(px_slice key, const char *name, bool server, px_tls_context **ret_context,
                          px_error *reterr);
void px_tls_context_free(px_tls_context *context);
PX_DEFINE_AUTO(px_tls_context, px_tls_context_free)

// px_tls_new takes fd, a connected, non-blocking stream socket, once it succeeds.
px_err px_tls_new(px_tls_context *context, int fd, px_tls **ret_tls);
void px_tls_free(px_tls *tls); // closes the socket, says nothing
PX_DEFINE_AUTO(px_tls, px_tls_free)
int px_tls_fd(const px_tls *tls);

// All three: PX_EAGAIN when the socket gives or takes no more now; px_tls_wants_write tells for the
// handshake which of the two. PX_ECLOSED at the end of the connection, PX_EPERM when the peer does
// not have the key or does not speak TLS 1.3.
px_err px_tls_handshake(px_tls *tls);
bool px_tls_wants_write(const px_tls *tls);
px_err px_tls_read(px_tls *tls, void *bytes, size_t size, size_t *ret_read);
// px_tls_write: after PX_EAGAIN call it again with the same bytes (they may stand elsewhere).
px_err px_tls_write(px_tls *tls, const void *bytes, size_t size, size_t *ret_written);

#endif
