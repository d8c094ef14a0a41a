// displays.h: what of one cell's displays a page gets.
//
// A page that holds thousands of outputs is no longer quick, and Jupyter's server drops messages of
// a cell that come too quickly. So a cell shows so many displays at once, and more as it goes on;
// what comes then is kept aside in a file, one JSON object a line, and a note says where. Updates
// of a display that come too quickly are left out, the last of each never. Clearing and showing in
// turns is neither too much nor left out: who does so too quickly waits.
//
// The state belongs to a px_parent and to whoever holds the sending lock.
#ifndef PX_KERNEL_DISPLAYS_H
#define PX_KERNEL_DISPLAYS_H

#include "io/outbox.h"
#include "io/spill.h"

#include "px/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// On the page of one cell: so many at once, more each second, up to the most. An end is not sharp:
// what began below it is shown whole, so one very large image always is.
#define PX_DISPLAYS_BURST 2500
#define PX_DISPLAYS_RATE 10 // a second
#define PX_DISPLAYS_MOST 10000
#define PX_DISPLAYS_BYTES_BURST ((uint64_t)256 << 20)
#define PX_DISPLAYS_BYTES_RATE ((uint64_t)4 << 20) // a second
#define PX_DISPLAYS_BYTES_MOST ((uint64_t)1 << 30)
// Messages that leave at once, then a second; updates the same. Jupyter's server takes 3,000 in
// three seconds.
#define PX_DISPLAYS_SENT_BURST 2500
#define PX_DISPLAYS_SENT_RATE 500
#define PX_UPDATES_BURST 100
#define PX_UPDATES_RATE 20
#define PX_UPDATES_HELD 256 // displays whose last update is held back

typedef struct px_bucket {
    double used;
    px_ns when; // used was true then; 0: never used
} px_bucket;

typedef struct px_displays {
    px_ns began;       // when the first display came
    uint64_t shown;    // on the page
    uint64_t bytes;    // … of content
    px_bucket sent;    // displays, updates and clearings
    px_bucket renewed; // updates
    px_out *updates;   // held back, the oldest first, one for each display
    size_t n_updates;
    px_spill *spill; // NULL: none was kept aside
    uint64_t kept;   // displays, in the file
    uint64_t kept_bytes;
    unsigned note; // number of the note in the page; 0: there is none
    uint64_t told; // kept when the note was last written
    px_parent *next_active;
    bool active; // in the list of those that hold updates or have a note to renew
} px_displays;

void px_displays_free(px_displays *displays); // NULL is allowed

// What becomes of an entry that is about to be sent.
typedef enum px_turn {
    PX_TURN_NOW,   // send it
    PX_TURN_TAKEN, // it was kept aside or held back: it is no longer the caller's
    PX_TURN_LATER  // a file is not ready; px_io_drain is called when it is
} px_turn;

#endif
