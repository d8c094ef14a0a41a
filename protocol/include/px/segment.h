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

#endif
