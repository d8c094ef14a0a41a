#include "io/early.h"

#include "io/need.h"

struct px_early_message {
    px_early_message *next;
    px_frames frames;
};

void px_early_init(px_early *early, px_ns now)
{
    *early = (px_early){.until = now + PX_EARLY_FOR};
}

bool px_early_keep(px_early *early, px_frames *frames, px_ns now)
{
    size_t bytes = px_frames_bytes(frames);
    if (early->until == 0) {
        return false;
    }
    if (now > early->until || bytes > PX_EARLY_BYTES - early->bytes) {
        px_early_done(early); // nobody listens: what is published is lost, as with any kernel
        return false;
    }
    px_early_message *message = px_need_zeroed(sizeof(*message));
    px_frames_move(&message->frames, frames);
    if (early->last != NULL) {
        early->last->next = message;
    } else {
        early->first = message;
    }
    early->last = message;
    early->bytes += bytes;
    return true;
}

bool px_early_take(px_early *early, px_frames *ret_frames)
{
    px_early_message *message = early->first;
    early->until = 0;
    if (message == NULL) {
        return false;
    }
    early->first = message->next;
    early->last = early->first != NULL ? early->last : NULL;
    px_frames_move(ret_frames, &message->frames);
    free(message);
    return true;
}

void px_early_done(px_early *early)
{
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        if (!px_early_take(early, &frames)) {
            return;
        }
    }
}
