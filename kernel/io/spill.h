// spill.h: files that take the output which a page cannot hold, and the thread that writes them.
//
// px-io touches no disk, so it hands text to px-spill, a thread that is made when the first text
// comes. A file lies in the folder PX_SPILL_FOLDER below the folder that the kernel was started in
// (the notebook's), so that a front end can open it by a relative link; when that cannot be
// written, below the folder for temporary files. Mode 0600, the folder 0700, and a .gitignore in
// it. Files stay when the kernel ends, because saved notebooks link to them; each time one is made,
// those older than PX_SPILL_AGE and, from the oldest on, what exceeds PX_SPILL_TOTAL go.
#ifndef PX_KERNEL_SPILL_H
#define PX_KERNEL_SPILL_H

#include "io/room.h"

#include "px/err.h"
#include "px/frames.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define PX_SPILL_FOLDER "pxkernel-output"
#define PX_SPILL_AGE (7 * 24 * 3600)             // seconds
#define PX_SPILL_TOTAL ((uint64_t)8 << 30)       // bytes in the folder
#define PX_SPILL_MOST ((uint64_t)4 << 30)        // bytes in one file
#define PX_SPILL_KEEP_FREE ((uint64_t)512 << 20) // bytes that are left free on the disk
#define PX_SPILL_LINK 320                        // bytes of a relative link

typedef struct px_spills px_spills;
typedef struct px_spill px_spill; // one file; counted

// px_spill_report is what became of a file so far.
typedef struct px_spill_report {
    char path[PATH_MAX];      // absolute; "" while it is not open
    char link[PX_SPILL_LINK]; // relative to the folder that the kernel was started in; "": none
    uint64_t written;         // bytes in it
    uint64_t lost;            // bytes that could not be written
    char cause[96];           // why
    bool settled;             // nothing waits to be written
} px_spill_report;

// px_spills_new makes what files need; the current folder is where they will lie. fd (px_spills_fd)
// becomes readable when a file was opened or has settled, or room has come. room outlives it.
px_err px_spills_new(px_room *room, px_spills **ret_spills);
// px_spills_free writes what waits and ends the thread.
void px_spills_free(px_spills *spills);
int px_spills_fd(const px_spills *spills);
// px_spills_clear empties the counter behind fd.
void px_spills_clear(px_spills *spills);

// px_spill_new names a file, by how its name ends; it is made when it is first written to. Any
// thread.
#define PX_SPILL_TEXT ".out.txt"
#define PX_SPILL_DISPLAYS ".out.jsonl" // a line for each, what nbformat calls display_data
px_spill *px_spill_new(px_spills *spills, const char *ending);
px_spill *px_spill_ref(px_spill *spill);
void px_spill_unref(px_spill *spill); // NULL is allowed
// px_spill_write queues bytes from `from` on for the thread; references bytes. One thread at a
// time.
void px_spill_write(px_spill *spill, px_bytes *bytes, size_t from);
// px_spill_write_now writes on this thread and returns when it is done. Not beside px_spill_write.
void px_spill_write_now(px_spill *spill, px_slice text);
// px_spill_wait waits until everything is written. Never on px-io while its loop runs.
void px_spill_wait(px_spill *spill);
void px_spill_look(px_spill *spill, px_spill_report *ret_report);

#endif
