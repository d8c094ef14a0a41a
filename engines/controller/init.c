// init.c: recorded initialisation: what every engine that comes later runs first.
//
// A request with the flag INIT is carried out as any other, and kept. An engine that joins, be it a
// replacement or because the cluster grew, gets all that was kept, in its order, before anything
// else: its work connection keeps that order. Nobody waits for the answers; one that is an error is
// told to the admin. Client 0 is nobody: clients count from 1.

#include "peers.h"

#include "px/log.h"

#include <utlist.h>

#include <stdlib.h>

// More than this is data, not initialisation: each late engine would get it through a socket.
#define KEEP_BYTES ((size_t)256 << 20)

struct px_record {
    px_frames frames; // without a route
    struct px_record *next, *prev;
};

static size_t size_of(const px_frames *frames)
{
    size_t size = 0;
    for (size_t i = 0; i < px_frames_count(frames); i++) {
        size += px_frames_get(frames, i).size;
    }
    return size;
}

void px__init_keep(px_relay *relay, const px_frames *frames)
{
    size_t size = size_of(frames);
    px_record *record = calloc(1, sizeof(*record));
    if (record == NULL || relay->kept_bytes + size > KEEP_BYTES ||
        px_frames_share(&record->frames, frames, 1, px_frames_count(frames) - 1) != PX_OK) {
        free(record);
        px_log_error("relay: an initialisation is not kept", "bytes=%zu of=%zu", size, KEEP_BYTES);
        px__tell_init_failed(relay, UINT32_MAX);
        return;
    }
    relay->kept_bytes += size;
    DL_APPEND(relay->kept, record);
}

void px__init_send(px_relay *relay, px_peer *engine)
{
    px_record *record;
    DL_FOREACH (relay->kept, record) {
        px_route route = {.kind = PX_ROUTE_REQUEST, .n = 1};
        if (px__forward(&route, engine, &record->frames, 0, NULL) != PX_OK) {
            px_log_error("relay: out of memory for an initialisation", "engine=%u", engine->id);
            px__tell_init_failed(relay, engine->id);
            return;
        }
    }
}

void px__init_free(px_relay *relay)
{
    px_record *record, *next;
    DL_FOREACH_SAFE (relay->kept, record, next) {
        DL_DELETE(relay->kept, record);
        px_frames_done(&record->frames);
        free(record);
    }
}
