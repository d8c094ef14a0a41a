// heart.c: counts beats without a word.
//
// An engine that is wanted and spoke since the last beat is left alone; one that did not is asked,
// and after `missed` unanswered questions it is silent, until it speaks. When it stops being wanted
// its count starts anew, so that hours of peace are not held against it.

#include "heart.h"

#include "px/own.h"

#include <string.h>

typedef struct pulse {
    uint32_t engine;
    uint32_t unanswered;
    bool wanted, heard, silent;
} pulse;

struct px_heart {
    px_ns period, last;
    unsigned missed;
    pulse *pulses;
    size_t n, capacity;
    uint32_t *ask, *silent; // capacity each
};

px_err px_heart_new(px_ns period, unsigned missed, px_heart **ret_heart)
{
    px_heart *heart = calloc(1, sizeof(*heart));
    if (heart == NULL) {
        return PX_ENOMEM;
    }
    heart->period = period;
    heart->missed = missed;
    *ret_heart = heart;
    return PX_OK;
}

void px_heart_free(px_heart *heart)
{
    if (heart != NULL) {
        free(heart->pulses);
        free(heart->ask);
        free(heart->silent);
        free(heart);
    }
}

// place is where an engine is, or belongs: pulses are in the order of the ids.
static size_t place(const px_heart *heart, uint32_t engine)
{
    size_t low = 0, high = heart->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (heart->pulses[middle].engine < engine) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static pulse *find(const px_heart *heart, uint32_t engine)
{
    size_t i = place(heart, engine);
    return i < heart->n && heart->pulses[i].engine == engine ? &heart->pulses[i] : NULL;
}

static px_err grow(px_heart *heart)
{
    size_t capacity = heart->capacity == 0 ? 16 : heart->capacity * 2;
    pulse *pulses = realloc(heart->pulses, capacity * sizeof(*pulses));
    if (pulses == NULL) {
        return PX_ENOMEM;
    }
    heart->pulses = pulses;
    uint32_t *ask = realloc(heart->ask, capacity * sizeof(*ask));
    if (ask == NULL) {
        return PX_ENOMEM;
    }
    heart->ask = ask;
    uint32_t *silent = realloc(heart->silent, capacity * sizeof(*silent));
    if (silent == NULL) {
        return PX_ENOMEM;
    }
    heart->silent = silent;
    heart->capacity = capacity;
    return PX_OK;
}

px_err px_heart_add(px_heart *heart, uint32_t engine)
{
    if (find(heart, engine) != NULL) {
        return PX_EEXIST;
    }
    if (heart->n == heart->capacity) {
        PX_TRY(grow(heart));
    }
    size_t i = place(heart, engine);
    memmove(&heart->pulses[i + 1], &heart->pulses[i], (heart->n - i) * sizeof(pulse));
    heart->pulses[i] = (pulse){.engine = engine, .heard = true};
    heart->n++;
    return PX_OK;
}

void px_heart_remove(px_heart *heart, uint32_t engine)
{
    pulse *p = find(heart, engine);
    if (p != NULL) {
        heart->n--;
        memmove(p, p + 1, (heart->n - (size_t)(p - heart->pulses)) * sizeof(*p));
    }
}

void px_heart_want(px_heart *heart, uint32_t engine, bool wanted)
{
    pulse *p = find(heart, engine);
    if (p == NULL || p->wanted == wanted) {
        return;
    }
    p->wanted = wanted;
    if (!p->silent) {
        p->unanswered = 0;
        p->heard = true;
    }
}

bool px_heart_heard(px_heart *heart, uint32_t engine)
{
    pulse *p = find(heart, engine);
    if (p == NULL) {
        return false;
    }
    bool was_silent = p->silent;
    p->heard = true;
    p->silent = false;
    p->unanswered = 0;
    return was_silent;
}

px_ns px_heart_due(const px_heart *heart, px_ns now)
{
    for (size_t i = 0; i < heart->n; i++) {
        if (heart->pulses[i].wanted) {
            px_ns due = heart->last + heart->period;
            return heart->last != 0 && due > now ? due : now + heart->period;
        }
    }
    return 0;
}

void px_heart_beat(px_heart *heart, px_ns now, px_heart_beats *ret_beats)
{
    size_t n_ask = 0, n_silent = 0;
    heart->last = now;
    for (size_t i = 0; i < heart->n; i++) {
        pulse *p = &heart->pulses[i];
        if (!p->wanted) {
            continue;
        }
        if (p->heard) {
            p->heard = false; // spoke since the last beat: nothing to ask
            p->unanswered = 0;
            continue;
        }
        if (!p->silent && p->unanswered >= heart->missed) {
            p->silent = true;
            heart->silent[n_silent++] = p->engine;
        }
        if (!p->silent) { // a silent one has questions enough waiting
            p->unanswered++;
            heart->ask[n_ask++] = p->engine;
        }
    }
    *ret_beats = (px_heart_beats){
        .ask = heart->ask, .n_ask = n_ask, .silent = heart->silent, .n_silent = n_silent};
}

bool px_heart_check(const px_heart *heart)
{
    for (size_t i = 0; i < heart->n; i++) {
        const pulse *p = &heart->pulses[i];
        if (find(heart, p->engine) != p || p->unanswered > heart->missed ||
            (p->silent && p->unanswered != heart->missed) || (p->heard && p->silent)) {
            return false;
        }
    }
    return heart->n <= heart->capacity;
}
