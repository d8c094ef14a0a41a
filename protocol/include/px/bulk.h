// bulk.h: large buffers between processes of one host: on a link they stand as descriptors of
// sealed segments (segment.h), whatever message they belong to.
//
// Wire: a message with the route flag PX_ROUTE_SEGMENTS has one frame more than its Jupyter
// message: the last frame is a list of u32 (little endian), the indexes of the buffers (0 is the
// first after content) whose frame is a PX_SEGMENT_REF_SIZE descriptor. Buffers are not part of a
// Jupyter signature, so neither composing nor verifying a message needs to know. Any thread.
#ifndef PX_BULK_H
#define PX_BULK_H

#include "px/err.h"
#include "px/frames.h"
#include "px/segment.h"

#include <stdbool.h>
#include <stddef.h>

// px_bulk holds the descriptors (file descriptors) of segments that receivers have yet to map. {0}
// is empty. The owner closes them with px_bulk_done once nobody needs them any more.
typedef struct px_bulk {
    int *fds;
    size_t n;
} px_bulk;

// px_bulk_wanted tells if one of frames [first_buffer, …) is large enough for a segment.
bool px_bulk_wanted(const px_frames *frames, size_t first_buffer);

// px_bulk_pack replaces large buffers by descriptors and appends the list; the segments' file
// descriptors are added to ret_bulk. Copies the buffers: 0.2 to 0.6 ms for each MiB. A buffer for
// which no segment can be made stays as it is; without any segment there is no list. The caller
// sets PX_ROUTE_SEGMENTS when ret_bulk has grown. PX_ENOMEM leaves frames half packed: drop them.
px_err px_bulk_pack(px_frames *frames, size_t first_buffer, px_bulk *ret_bulk);

// px_bulk_make makes a segment of bytes in another way; PX_EAGAIN: the usual way, please.
typedef px_err px_bulk_make(void *context, px_slice bytes, px_segment_ref *ret_ref);
// px_bulk_pack_with asks make first. Its segments are its own affair; ret_packed tells if there is
// a list, that is, any segment.
px_err px_bulk_pack_with(px_frames *frames, size_t first_buffer, px_bulk *ret_bulk,
                         px_bulk_make *make, void *context, bool *ret_packed);

// px_bulk_unpack takes the list off and maps what it names, private and writable. PX_EFORMAT when
// the list does not fit the message; PX_ENOENT and others when a segment is gone.
px_err px_bulk_unpack(px_frames *frames, size_t first_buffer, px_error *reterr);

void px_bulk_done(px_bulk *bulk);

#endif
