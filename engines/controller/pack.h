// pack.h: messages as bytes in a row, for a column of the database: u32 number of frames, u64 size
// of each, the frames; little endian. What is read may come from a file that was damaged: every
// length is checked.
#ifndef PX_ENGINES_PACK_H
#define PX_ENGINES_PACK_H

#include "intake.h"

#include "px/buf.h"
#include "px/err.h"
#include "px/frames.h"

// px_pack appends the frames [first, end); a failure shows in px_buf_status.
void px_pack(px_buf *out, const px_kept *kept, size_t first, size_t end);
// px_unpack takes one message off the front of bytes and appends its frames. PX_EFORMAT; PX_EAGAIN
// when nothing is left.
px_err px_unpack(px_slice *bytes, px_frames *frames);

#endif
