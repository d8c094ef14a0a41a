// heart.h: PURE. Who is silent: told what was heard and what time it is, it says whom to ask and
// who did not answer.
//
// Only those who are wanted are asked, and only when they said nothing since the last beat. For an
// engine on this host silence is something to show, no death: that is known from its process.
#ifndef PX_ENGINES_HEART_H
#define PX_ENGINES_HEART_H

#include "px/err.h"
#include "px/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct px_heart px_heart;

// px_heart_beats are the outcome of one beat. The arrays belong to the heart, valid until its next
// beat.
typedef struct px_heart_beats {
    const uint32_t *ask; // send these a heartbeat_request
    size_t n_ask;
    const uint32_t *silent; // these have just become silent
    size_t n_silent;
} px_heart_beats;

// px_heart_new: one beat every period; silent after missed beats without a word.
px_err px_heart_new(px_ns period, unsigned missed, px_heart **ret_heart);
void px_heart_free(px_heart *heart);

px_err px_heart_add(px_heart *heart, uint32_t engine);
void px_heart_remove(px_heart *heart, uint32_t engine);
// px_heart_want says if an engine's silence matters now (it works, or somebody looks).
void px_heart_want(px_heart *heart, uint32_t engine, bool wanted);
// px_heart_heard: anything came from the engine. True when it had been silent.
bool px_heart_heard(px_heart *heart, uint32_t engine);
// px_heart_due is when the next beat is; 0 when nobody is wanted and so no timer is needed.
px_ns px_heart_due(const px_heart *heart, px_ns now);
// px_heart_beat does one beat. Call it at px_heart_due.
void px_heart_beat(px_heart *heart, px_ns now, px_heart_beats *ret_beats);
bool px_heart_check(const px_heart *heart);

#endif
