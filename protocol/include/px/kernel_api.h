// kernel_api.h: the capsule `pxkernel._kernel.api` (PX_KERNEL_API_NAME): how other code in the
// kernel's process publishes to the notebook without Python. It may be absent (another kernel, a
// script): users must do without.
#ifndef PX_KERNEL_API_H
#define PX_KERNEL_API_H

#include "px/buf.h"
#include "px/frames.h"

#include <stddef.h>
#include <stdint.h>

#define PX_KERNEL_API_NAME "pxkernel._kernel.api"
#define PX_KERNEL_API_VERSION 1

// px_parent is a counted reference to the request that outputs belong to (its header bytes and
// where it came from). Opaque here.
typedef struct px_parent px_parent;

typedef struct px_kernel_api {
    uint32_t version;
    // parent_current: new reference to the request that the calling thread or task works for; NULL
    // when none. Needs the GIL.
    px_parent *(*parent_current)(void);
    // parent_unref: any thread, no GIL.
    void (*parent_unref)(px_parent *parent);
    // stream: text to "stdout" or "stderr" of the cell, merged like the kernel's own prints and
    // ordered with them. Any thread, no GIL.
    void (*stream)(px_parent *parent, const char *name, px_slice text);
    // publish: any iopub message; content and metadata are JSON objects, buffers are referenced.
    // Any thread, no GIL.
    void (*publish)(px_parent *parent, const char *msg_type, px_slice content, px_slice metadata,
                    px_bytes *const *buffers, size_t n_buffers);
} px_kernel_api;

#endif
