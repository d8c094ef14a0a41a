// handshake.h: a kernel that was given a registration file in place of a connection file tells its
// ports to whoever started it (messaging spec, "Kernel startup handshake"; JEP 66).
#ifndef PX_KERNEL_HANDSHAKE_H
#define PX_KERNEL_HANDSHAKE_H

#include "px/connection.h"
#include "px/err.h"
#include "px/socket.h"

// px_handshake sends the ports to the registration address and waits for the acknowledgement.
// PX_ETIMEOUT when none has come after ten seconds. Blocks: before the loop runs.
px_err px_handshake(px_context *context, const px_connection *connection, px_error *reterr);

#endif
