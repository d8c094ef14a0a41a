// terms.h: how a task wants to be scheduled: retries, a time limit, the tasks that it waits for.
//
// A load-balanced task (route kind PX_ROUTE_TASK) with the route flag PX_ROUTE_TERMS carries them
// in its second frame, behind the route; the controller takes the frame off before an engine sees
// the message. Little endian:
//   u32 retries, u32 timeout_ms, u8 after_rule, u8 follow_rule, u16 0, u32 n_after, u32 n_follow,
//   (n_after + n_follow) × u64 task number of the same client
#ifndef PX_TERMS_H
#define PX_TERMS_H

#include "px/buf.h"
#include "px/err.h"
#include "px/frames.h"

#include <stdint.h>

#define PX_TERMS_SIZE 20
#define PX_TERMS_MAX_TASKS (1 << 20)

// Rules of `after` and `follow`: bits. ANY: one of the tasks is enough, else all. SUCCESS, FAILURE:
// which ends count; both or none of them: any end.
enum { PX_TERMS_ANY = 1, PX_TERMS_SUCCESS = 2, PX_TERMS_FAILURE = 4 };

typedef struct px_terms {
    uint32_t retries;    // how often it may be sent again after its engine died
    uint32_t timeout_ms; // 0: none. How long it may wait for what it depends on
    uint8_t after_rule;  // run it after these
    uint8_t follow_rule; // run it where these ran
    uint32_t n_after;
    uint32_t n_follow;
    const uint8_t *tasks; // inside the frame it was read from; read with px_terms_task
} px_terms;

// px_terms_decode checks every length; the result borrows from frame. PX_EFORMAT.
px_err px_terms_decode(px_slice frame, px_terms *ret_terms);
// px_terms_task is the number of a task: `after` first, then `follow`.
uint64_t px_terms_task(const px_terms *terms, uint32_t index);
// px_terms_encode makes the frame; tasks are n_after + n_follow numbers.
px_err px_terms_encode(const px_terms *terms, const uint64_t *tasks, px_bytes **ret_frame);

#endif
