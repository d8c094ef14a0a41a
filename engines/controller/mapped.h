// mapped.h: results in memory that their engine wants to fill again, and that px-store maps: the
// engine hears that nobody maps one any more when both its client and px-store have let go of it.
//
// px-store says what it maps and what a client has returned; any thread may let go of a result
// last, since messages on their way to a client reference it too.
#ifndef PX_ENGINES_MAPPED_H
#define PX_ENGINES_MAPPED_H

#include "px/err.h"
#include "px/frames.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct px_mapped px_mapped;
struct px_relay;

// px_result names one.
typedef struct px_result {
    uint64_t task;
    uint32_t client;
    uint32_t engine;
} px_result;

px_mapped *px_mapped_new(void); // NULL without memory
// px_mapped_open says who tells engines; px_mapped_close that nobody does any more.
void px_mapped_open(px_mapped *mapped, struct px_relay *relay);
void px_mapped_close(px_mapped *mapped);
// px_mapped_free: after all frames are gone.
void px_mapped_free(px_mapped *mapped);

// px_mapped_hold notes that frames [first_buffer, …) of a reply are mapped, until they are let go;
// returned: its client has it not. PX_ENOMEM: let go of them.
px_err px_mapped_hold(px_mapped *mapped, const px_result *result, px_frames *frames,
                      size_t first_buffer, bool returned);
// px_mapped_returned: its client does not map it any more. The engine is told when we do not
// either.
void px_mapped_returned(px_mapped *mapped, const px_result *result);

#endif
