// engines.h: the engines of a cluster as the controller last told (PURE: no socket, clock, lock).
#ifndef PX_MAGICS_ENGINES_H
#define PX_MAGICS_ENGINES_H

#include "px/buf.h"
#include "px/err.h"
#include "px/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct px_engine {
    uint32_t id;
    bool ready;  // registered and alive: may be a target
    px_buf json; // the Engine object
} px_engine;

// px_engines is a table sorted by id; {0} is empty.
typedef struct px_engines {
    px_engine *items;
    size_t n;
    size_t capacity;
} px_engines;

// px_engines_set stores an Engine object; event is that of engine_notify, or NULL for a list, where
// the engine's state tells if it is ready. PX_EFORMAT when it has no id.
px_err px_engines_set(px_engines *engines, const px_json *engine, const char *event);
// px_engines_find is NULL when the id is unknown.
const px_engine *px_engines_find(const px_engines *engines, uint32_t id);
// px_engines_lost marks all as not ready: the controller is gone.
void px_engines_lost(px_engines *engines);
void px_engines_done(px_engines *engines);

#endif
