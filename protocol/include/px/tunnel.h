// tunnel.h: a local stream socket carried over the network: what is written into it here comes out
// of one like it there, encrypted, across as many connections as it takes (stream.h, tls.h).
//
// At both ends the local socket is one of a link's: a link over the network is a Unix socket whose
// other end is a tunnel, so nothing above a link knows about networks. The end of the local socket
// is the end of the tunnel at both ends; what was written before arrives first.
//
// A tunnel waits for nothing: its owner waits for what px_tunnel_needs tells and calls
// px_tunnel_step. One thread.
#ifndef PX_TUNNEL_H
#define PX_TUNNEL_H

#include "px/err.h"
#include "px/stream.h"
#include "px/time.h"
#include "px/tls.h"

#include <stdbool.h>
#include <stdint.h>

// The greeting, first on every connection, little endian, 32 bytes from each side:
//   u32 magic 'PXT1', u8 what (from who connects: px_tunnel_use; in answer: px_tunnel_answer),
//   u8 1 when it goes on with an earlier connection, u16 0, 16 bytes id of the tunnel,
//   u64 numbered frames received so far
#define PX_GREETING_SIZE 32
#define PX_TUNNEL_ID_SIZE 16
typedef enum px_tunnel_use { PX_TUNNEL_CONTROL = 1, PX_TUNNEL_WORK = 2 } px_tunnel_use;
typedef enum px_tunnel_answer {
    PX_TUNNEL_WELCOME = 1,
    PX_TUNNEL_UNKNOWN = 2, // no such tunnel (any more)
    PX_TUNNEL_BUSY = 3     // not now: try again
} px_tunnel_answer;
typedef struct px_greeting {
    uint8_t what;
    bool resumes;
    uint8_t id[PX_TUNNEL_ID_SIZE];
    uint64_t received;
} px_greeting;
void px_greeting_write(const px_greeting *greeting, uint8_t wire[PX_GREETING_SIZE]);
// px_greeting_read: PX_EFORMAT when it is none.
px_err px_greeting_read(const uint8_t wire[PX_GREETING_SIZE], px_greeting *ret_greeting);

// px_tunnel_limits are the stream's for a lease in seconds: a beat is a tenth of it, at most three
// seconds.
px_stream_limits px_tunnel_limits(uint32_t lease_s);

typedef struct px_tunnel px_tunnel;

// px_tunnel_new takes local, a connected, non-blocking Unix stream socket, once it succeeds.
px_err px_tunnel_new(const px_stream_limits *limits, int local, px_ns now, px_tunnel **ret_tunnel);
void px_tunnel_free(px_tunnel *tunnel);
// px_tunnel_attach begins with a connection whose greetings are over (takes tls, also when it
// fails); the peer has received so many frames. PX_EFORMAT: the two do not fit.
px_err px_tunnel_attach(px_tunnel *tunnel, px_tls *tls, uint64_t received, px_ns now);
// px_tunnel_cut closes the connection; the tunnel stays. To be called after BROKEN too, once nobody
// waits for its socket any more.
void px_tunnel_cut(px_tunnel *tunnel);
uint64_t px_tunnel_received(const px_tunnel *tunnel);

typedef enum px_tunnel_state {
    PX_TUNNEL_OPEN,    // connected
    PX_TUNNEL_BROKEN,  // no connection now
    PX_TUNNEL_OVER,    // ended by one side; everything has been said
    PX_TUNNEL_GIVEN_UP // no connection for longer than the lease, or the peer broke the rules
} px_tunnel_state;

// px_tunnel_step moves what can be moved, for at most about a MiB, and says how things stand. After
// OVER and GIVEN_UP only px_tunnel_free is of use.
px_tunnel_state px_tunnel_step(px_tunnel *tunnel, px_ns now);
// px_tunnel_needs: what to wait for on the two sockets (PX_READABLE, PX_WRITABLE of loop.h), and
// until when at most. net_fd: -1 without a connection.
typedef struct px_tunnel_needs {
    int net_fd, net_events;
    int local_fd, local_events;
    px_ns due;
} px_tunnel_needs;
px_tunnel_needs px_tunnel_waits(const px_tunnel *tunnel);

#endif
