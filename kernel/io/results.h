// results.h: large buffers of an engine's results, in segments (px/segment.h).
//
// Somebody has to keep a segment's descriptor until the client has opened it. We do, until a
// RELEASE says that it is mapped; if the client is gone, the controller says so for all of its
// tasks. The segment itself is lent: a second RELEASE says that nobody maps it any more, and then
// another result goes into it, which costs a tenth of what fresh memory does. Any thread.
#ifndef PX_KERNEL_RESULTS_H
#define PX_KERNEL_RESULTS_H

#include "px/err.h"
#include "px/frames.h"
#include "px/time.h"

#include <stdint.h>

typedef struct px_results px_results;

px_results *px_results_new(void);
void px_results_free(px_results *results);

// px_results_pack puts the large buffers of a reply into segments. ret_flags are those of its route
// that say so; 0: there was none. PX_ENOMEM leaves frames half packed: drop them.
px_err px_results_pack(px_results *results, uint32_t client, uint64_t task, px_frames *frames,
                       size_t first_buffer, uint16_t *ret_flags);
// px_results_mapped: whoever wants that result has it mapped. px_results_returned: nobody maps it
// any more. px_results_left: nobody will map a result of that client any more.
void px_results_mapped(px_results *results, uint32_t client, uint64_t task);
void px_results_returned(px_results *results, uint32_t client, uint64_t task);
void px_results_left(px_results *results, uint32_t client);
// px_results_expire frees segments that have been idle too long, and tells when to look again.
px_ns px_results_expire(px_results *results, px_ns now);

#endif
