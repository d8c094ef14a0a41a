// frames.h (internal): frames that are made together.
#ifndef PX_FRAMES_INTERNAL_H
#define PX_FRAMES_INTERNAL_H

#include "px/frames.h"

// px__frames_reserve makes room for extra frames more.
px_err px__frames_reserve(px_frames *frames, size_t extra);
// px__frames_new appends n (1 at least) frames of these sizes, whose sum is little: one allocation
// for all. They are still to be written, to where px__frames_data says.
px_err px__frames_new(px_frames *frames, const size_t *sizes, size_t n);
uint8_t *px__frames_data(const px_frames *frames, size_t index);

#endif
