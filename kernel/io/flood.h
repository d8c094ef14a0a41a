// flood.h: what of one cell's text is shown, and what is kept back.
//
// A page gets the beginning and the end. The beginning is sent as it comes, up to a limit; after
// that text is kept back: the last `tail` bytes of it here, all of it in a file once it is more
// than that. When the cell ends, the end follows, below a note that says where the rest is. So text
// that is a little too long is shown whole, without a note and without a file.
//
// A flood belongs to a px_parent and to whoever holds the sending lock.
#ifndef PX_KERNEL_FLOOD_H
#define PX_KERNEL_FLOOD_H

#include "io/outbox.h"
#include "io/spill.h"
#include "io/visible.h"

#include "px/buf.h"
#include "px/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// px_flood_limits: at once a cell may show `burst` bytes, then `rate` more each second, up to
// `most`. What Jupyter's server drops when it comes too quickly is more than `burst` and `tail`.
typedef struct px_flood_limits {
    size_t most; // bytes; 0: no limit at all
    size_t burst;
    size_t rate;
    size_t tail;
} px_flood_limits;

#define PX_FLOOD_LIMITS                                                                            \
    ((px_flood_limits){.most = 8 << 20, .burst = 1 << 20, .rate = 256 << 10, .tail = 128 << 10})
// px_flood_limits_of makes limits of one number: 0 for none.
px_flood_limits px_flood_limits_of(size_t most);

#define PX_FLOOD_PARTS 64

typedef struct px_flood_part {
    px_bytes *bytes;
    size_t from;
    px_stream_name stream;
} px_flood_part;

typedef struct px_flood {
    px_visible shown[2];                // what the page holds of stdout and stderr
    px_ns began;                        // when the first text came
    px_buf head;                        // what was shown, for the file
    bool over;                          // text is kept back
    uint64_t kept_back;                 // bytes, since then
    px_flood_part tail[PX_FLOOD_PARTS]; // the last of them
    size_t n_tail;
    size_t tail_size;
    px_spill *spill; // NULL: all that was kept back is in tail
    // floods.c
    px_parent *next_active;
    bool active;   // in the list of those that keep text back
    unsigned note; // number of the note in the page; 0: there is none
    uint64_t told; // kept_back when the note was last written
} px_flood;

void px_flood_free(px_flood *flood); // NULL is allowed

// px_flood_add takes text into account and answers how many bytes of it are to be shown now; the
// rest is kept back.
size_t px_flood_add(px_flood *flood, const px_flood_limits *limits, px_spills *spills,
                    px_stream_name stream, px_bytes *text, px_ns now);
// px_flood_shown is how many bytes the page holds.
size_t px_flood_shown(const px_flood *flood);
// px_flood_spill begins the file: with what was shown, and what is kept back.
void px_flood_spill(px_flood *flood, px_spills *spills);
// px_flood_tail_start is where to begin to show the tail: at a line when something is missing
// before it.
size_t px_flood_tail_start(const px_flood *flood, const px_flood_limits *limits);
// px_flood_drop_tail forgets the tail: something else was shown behind it. There is a file.
void px_flood_drop_tail(px_flood *flood);
// px_flood_reset begins anew: the page was cleared, or the cell has ended.
void px_flood_reset(px_flood *flood);

#endif
