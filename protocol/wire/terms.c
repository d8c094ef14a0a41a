// terms.c: the frame behind the route of a task that asks for more than "run me somewhere".

#include "px/terms.h"

#include "little.h"

#include <stddef.h>

px_err px_terms_decode(px_slice frame, px_terms *ret_terms)
{
    const uint8_t rules = PX_TERMS_ANY | PX_TERMS_SUCCESS | PX_TERMS_FAILURE;
    if (frame.size < PX_TERMS_SIZE) {
        return PX_EFORMAT;
    }
    const uint8_t *wire = frame.data;
    const px_terms terms = {.retries = (uint32_t)px__get(wire, 4),
                            .timeout_ms = (uint32_t)px__get(wire + 4, 4),
                            .after_rule = wire[8],
                            .follow_rule = wire[9],
                            .n_after = (uint32_t)px__get(wire + 12, 4),
                            .n_follow = (uint32_t)px__get(wire + 16, 4),
                            .tasks = wire + PX_TERMS_SIZE};
    size_t n = (size_t)terms.n_after + terms.n_follow;
    if ((terms.after_rule & ~rules) != 0 || (terms.follow_rule & ~rules) != 0 ||
        px__get(wire + 10, 2) != 0 || n > PX_TERMS_MAX_TASKS ||
        frame.size != PX_TERMS_SIZE + 8 * n) {
        return PX_EFORMAT;
    }
    *ret_terms = terms;
    return PX_OK;
}

uint64_t px_terms_task(const px_terms *terms, uint32_t index)
{
    return px__get(terms->tasks + (size_t)8 * index, 8);
}

px_err px_terms_encode(const px_terms *terms, const uint64_t *tasks, px_bytes **ret_frame)
{
    size_t n = (size_t)terms->n_after + terms->n_follow;
    uint8_t *wire = NULL;
    if (n > PX_TERMS_MAX_TASKS) {
        return PX_ETOOBIG;
    }
    PX_TRY(px_bytes_new(PX_TERMS_SIZE + 8 * n, &wire, ret_frame));
    px__put(wire, terms->retries, 4);
    px__put(wire + 4, terms->timeout_ms, 4);
    wire[8] = terms->after_rule;
    wire[9] = terms->follow_rule;
    px__put(wire + 10, 0, 2);
    px__put(wire + 12, terms->n_after, 4);
    px__put(wire + 16, terms->n_follow, 4);
    for (size_t i = 0; i < n; i++) {
        px__put(wire + PX_TERMS_SIZE + 8 * i, tasks[i], 8);
    }
    return PX_OK;
}
