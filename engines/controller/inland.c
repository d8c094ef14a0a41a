// inland.c: large buffers for engines on other hosts: a client of this host writes them into shared
// memory once, whatever engines they are for; here they are put back into the message for those
// that cannot map it.
//
// What was only made for this request is mapped and sent from there. What the client will fill
// again is copied, so that it can be given back at once. If a segment cannot be had, the message
// goes as it is: the engine then answers that it cannot read it, with the reason.

#include "peers.h"

#include "px/bulk.h"
#include "px/log.h"

// own_copies replaces the large buffers, which are somebody else's memory.
static px_err own_copies(px_frames *body)
{
    for (size_t i = PX_MESSAGE_FRAMES - 1; i < px_frames_count(body); i++) {
        px_slice slice = px_frames_get(body, i);
        px_bytes *copy = NULL;
        uint8_t *data = NULL;
        if (slice.size < PX_SEGMENT_THRESHOLD) {
            continue;
        }
        PX_TRY(px_bytes_new(slice.size, &data, &copy));
        memcpy(data, slice.data, slice.size);
        px_frames_set(body, i, copy);
    }
    return PX_OK;
}

static void give_back(const px_route *route, const px_peer *engine)
{
    px_peer *client = px__relay_client(engine->relay, route->client);
    const px_route back = {
        .kind = PX_ROUTE_RELEASE, .client = route->client, .task = route->task, .n = 1};
    PX_AUTO_FRAMES frames = {0};
    if (client == NULL || px_route_push(&frames, &back, &engine->id) != PX_OK) {
        return; // then it is not filled again
    }
    px__relay_send(client, &frames, NULL);
}

void px__inline(px_route *route, const px_peer *engine, px_frames *body)
{
    px_error error = {0};
    PX_AUTO_FRAMES plain = {0};
    bool lent = (route->flags & PX_ROUTE_LENT) != 0;
    px_err err = px_frames_share(&plain, body, 0, px_frames_count(body));
    err = err == PX_OK ? px_bulk_unpack(&plain, PX_MESSAGE_FRAMES - 1, &error) : err;
    err = err == PX_OK && lent ? own_copies(&plain) : err;
    if (err != PX_OK) {
        px_log_warning("relay: shared memory for an engine on another host cannot be read",
                       "engine=%u cause=%s", engine->id,
                       error.text[0] != '\0' ? error.text : px_err_text(err));
        return;
    }
    px_frames_done(body);
    px_frames_move(body, &plain);
    if (lent) {
        give_back(route, engine);
    }
    route->flags &= (uint16_t) ~(PX_ROUTE_SEGMENTS | PX_ROUTE_LENT);
}
