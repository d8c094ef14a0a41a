// stream.h: PURE. A stream of bytes each way that outlives the connections that carry it.
//
// What is put in leaves in numbered frames; each side keeps a frame until the other has said that
// it has it. When a connection breaks, whatever was in flight is lost; the next one begins with
// both sides saying how many frames they have, and goes on from there. So nothing is lost and
// nothing comes twice, wherever a connection was cut. No socket, no clock: bytes and the time are
// passed in.
//
// On a connection, little endian: u8 kind, u8 0, u16 0, u32 size, then size bytes.
//   1 DATA  at most 65,536 bytes; numbered by its place
//   2 END   nothing more will be put; numbered too
//   3 HAVE  u64: how many numbered frames have arrived
//   4 BEAT  nothing, said when there was nothing else to say for a while
// One owner; any thread.
#ifndef PX_STREAM_H
#define PX_STREAM_H

#include "px/buf.h"
#include "px/err.h"
#include "px/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PX_STREAM_FRAME ((size_t)1 << 16) // bytes in a DATA frame at most
#define PX_STREAM_LEAD 8                  // kind and size

// px_stream_limits: how much is kept for a peer that does not say that it has it (bytes), how often
// something is said (nanoseconds; without a word for twice as long the connection counts as cut),
// and for how long a stream without a connection waits for the next one.
typedef struct px_stream_limits {
    size_t window;
    px_ns beat;
    px_ns lease;
} px_stream_limits;

typedef struct px_stream px_stream;

px_err px_stream_new(const px_stream_limits *limits, px_ns now, px_stream **ret_stream);
void px_stream_free(px_stream *stream);

// px_stream_room is how much may be put now. px_stream_put takes at most PX_STREAM_FRAME bytes.
size_t px_stream_room(const px_stream *stream);
px_err px_stream_put(px_stream *stream, px_slice bytes);
// px_stream_end says that nothing more will be put. Once.
px_err px_stream_end(px_stream *stream);

// px_stream_attach begins a connection whose peer has already `has` frames of ours. PX_EFORMAT when
// that cannot be. px_stream_received is what to tell the peer. px_stream_detach: it is cut.
px_err px_stream_attach(px_stream *stream, px_ns now, uint64_t has);
void px_stream_detach(px_stream *stream);
uint64_t px_stream_received(const px_stream *stream);

// px_stream_output writes what is to be sent next; 0: nothing now. What it gave counts as sent.
size_t px_stream_output(px_stream *stream, px_ns now, uint8_t *bytes, size_t size);
// px_stream_input takes what came. PX_EFORMAT: the peer breaks the rules, the stream is over.
px_err px_stream_input(px_stream *stream, px_ns now, px_slice bytes);
// px_stream_arrived are the bytes that wait for their reader, px_stream_take lets n of them go.
px_slice px_stream_arrived(const px_stream *stream);
void px_stream_take(px_stream *stream, size_t n);

bool px_stream_attached(const px_stream *stream);
bool px_stream_ended(const px_stream *stream);   // the peer put its last byte, and it has arrived
bool px_stream_settled(const px_stream *stream); // the peer has all that was put, the end included

// px_stream_not_read: the owner takes nothing from the connection for now, so silence says nothing.
void px_stream_not_read(px_stream *stream, px_ns now);
typedef enum px_stream_verdict {
    PX_STREAM_WELL,
    PX_STREAM_SILENT, // the connection is as good as cut: detach
    PX_STREAM_EXPIRED // no connection for as long as the lease lasts: give the stream up
} px_stream_verdict;
// px_stream_tick: the time. Call it at px_stream_due.
px_stream_verdict px_stream_tick(px_stream *stream, px_ns now);
px_ns px_stream_due(const px_stream *stream);
// px_stream_check tells if every invariant holds.
bool px_stream_check(const px_stream *stream);

#endif
