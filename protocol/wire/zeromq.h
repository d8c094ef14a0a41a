// zeromq.h (internal): ZeroMQ's errors as ours.
#ifndef PX_ZEROMQ_H
#define PX_ZEROMQ_H

#include "px/err.h"

// px__zmq_err maps zmq_errno(); what ZeroMQ alone knows is PX_EZMQ, a terminated context
// PX_ECLOSED.
px_err px__zmq_err(void);

#endif
