// segment.h: sealed shared memory for large buffers on one host: written once, mapped private and
// writable by every receiver.
//
// memfd_create, write, then seals SHRINK|GROW|WRITE|SEAL. No name exists, so nothing can be left
// behind after the last holder. A receiver opens /proc/<pid>/fd/<fd>: another user is refused by
// the kernel. Any thread.
#ifndef PX_SEGMENT_H
#define PX_SEGMENT_H

#include "px/buf.h"
#include "px/err.h"
#include "px/frames.h"

#include <stdbool.h>
#include <stdint.h>

#define PX_SEGMENT_THRESHOLD ((size_t)1 << 20) // bytes from which a buffer goes through a segment

// px_segment_ref is what travels instead of the bytes: 32 bytes, little endian on the wire.
typedef struct px_segment_ref {
    uint32_t pid;
    uint32_t fd;
    uint64_t size;
    uint64_t inode; // guards against a recycled descriptor
    uint64_t nonce; // of the process that made it (start time), guards against a recycled pid
} px_segment_ref;
#define PX_SEGMENT_REF_SIZE 32

// px_segment_create copies bytes into a new sealed segment. ret_fd is the caller's to close once
// every receiver has answered.
px_err px_segment_create(px_slice bytes, int *ret_fd, px_segment_ref *ret_ref, px_error *reterr);
void px_segment_encode(const px_segment_ref *ref, uint8_t ret_wire[PX_SEGMENT_REF_SIZE]);
px_err px_segment_decode(px_slice wire, px_segment_ref *ret_ref);
// px_segment_map opens, checks seals, size, inode and nonce, and maps it private and writable; the
// bytes unmap on release.
px_err px_segment_map(const px_segment_ref *ref, px_bytes **ret_bytes, px_error *reterr);

// px_segment is a segment that its maker keeps and fills again. Only it can write to it
// (F_SEAL_FUTURE_WRITE), and it must not as long as anybody maps what it held before: who lends it
// has to be told (PX_ROUTE_LENT).
typedef struct px_segment px_segment;
// px_segment_new makes one that holds bytes. PX_ESYS where the kernel is too old for it.
px_err px_segment_new(px_slice bytes, px_segment **ret_segment, px_segment_ref *ret_ref,
                      px_error *reterr);
// px_segment_refill puts other bytes into it, of at most its capacity.
px_err px_segment_refill(px_segment *segment, px_slice bytes, px_segment_ref *ret_ref);
// px_segment_holds tells if that is what it holds.
bool px_segment_holds(px_segment *segment, px_slice bytes);
size_t px_segment_capacity(const px_segment *segment);
// px_segment_free closes it; receivers keep what they have mapped.
void px_segment_free(px_segment *segment);

#endif
