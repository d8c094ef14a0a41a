// intake.h: what the relay and the admin hand to px-store: a stack that any thread may push on
// without a lock, so that whoever posts never waits for a thread that writes to a disk.
//
// A post wakes px-store only when it sleeps, and px-store then lets some milliseconds pass before
// it looks, so that a stream of requests costs a few hundred wakes a second, not two for each. What
// somebody waits for is posted as urgent, and looked at once.
#ifndef PX_ENGINES_INTAKE_H
#define PX_ENGINES_INTAKE_H

#include "px/buf.h"
#include "px/err.h"
#include "px/frames.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum px_kept_kind {
    PX_KEPT_REQUEST, // a client's request or task, as it came: frames with its route
    PX_KEPT_REPLY,   // an engine's reply that ends a request
    PX_KEPT_OUTPUT,
    PX_KEPT_LOST,        // content says why there will be no reply
    PX_KEPT_RELEASE,     // a client has mapped the segments of a reply: hand it on to the engine
    PX_KEPT_RETURN,      // … and unmapped them: hand it on when we do not map them either
    PX_KEPT_FETCH,       // a client wants what became of another's request
    PX_KEPT_CLIENT_GONE, // nobody reads what still comes for it
    PX_KEPT_ASK          // a question on a control connection
} px_kept_kind;

// px_kept is one of them. The poster makes it, px-store counts its references and frees it. A small
// message lies in it as bytes, in one piece: what is kept for a while would otherwise be a dozen
// pieces of memory, each of them cold when it is freed. A large one is referenced.
#define PX_KEPT_FRAMES 16
struct px_intake;
typedef struct px_kept {
    struct px_kept *next;
    struct px_intake *home; // where its memory goes back to; NULL: free()
    px_kept_kind kind;
    uint32_t client;
    uint32_t engine; // REPLY, OUTPUT, RELEASE, RETURN; LOST: PX_NOWHERE when no engine had it
    uint16_t refs;   // px-store's
    uint16_t room;   // size class of its memory, with home
    uint64_t task;
    bool delivered;    // REPLY, LOST: its client was there to receive it
    bool failed;       // REPLY: its status is not ok
    size_t size;       // bytes of the frames
    px_frames *frames; // NULL: n_small frames in bytes, each up to its end
    uint32_t n_small, ends[PX_KEPT_FRAMES];
    uint8_t bytes[];
} px_kept;
// Frames of the others than messages. LOST: the content alone; ASK: type, header, content.
enum { PX_LOST_CONTENT = 0, PX_ASK_TYPE = 0, PX_ASK_HEADER, PX_ASK_CONTENT };

// px_kept_new copies n frames (at most PX_KEPT_FRAMES); NULL without memory. px_kept_message copies
// a message or, when it is large, references its frames; it uses memory again that px-store has
// given back, so one thread alone may call it: px-relay.
px_kept *px_kept_new(px_kept_kind kind, const px_slice *frames, size_t n);
px_kept *px_kept_message(struct px_intake *home, px_kept_kind kind, const px_frames *frames);
size_t px_kept_count(const px_kept *kept);
px_slice px_kept_frame(const px_kept *kept, size_t index); // empty when there is none
// px_kept_share appends its frames to a message, by reference or as copies.
px_err px_kept_share(const px_kept *kept, px_frames *frames);
// px_kept_own makes sure that it references frames, which may then be changed; NULL without memory.
px_frames *px_kept_own(px_kept *kept);
px_kept *px_kept_ref(px_kept *kept);
void px_kept_unref(px_kept *kept);

#define PX_NOWHERE UINT32_MAX

#define PX_ROOMS 8 // size classes of PX_ROOM bytes more each
#define PX_ROOM ((size_t)512)

typedef struct px_intake {
    _Atomic(px_kept *) top;
    _Atomic(px_kept *) back;  // memory that px-store gives back
    px_kept *spare[PX_ROOMS]; // px-relay's: memory to be used again
    size_t n_spare;
    atomic_bool asleep, urgent;
    atomic_size_t bytes; // of memory: posted and not taken yet
    int fd;
} px_intake;

px_err px_intake_init(px_intake *intake);
// px_intake_done frees what nobody took.
void px_intake_done(px_intake *intake);
// px_intake_post takes kept. Any thread; never waits. urgent: somebody waits for it.
void px_intake_post(px_intake *intake, px_kept *kept, bool urgent);
// px_intake_take removes all, oldest first. px-store.
px_kept *px_intake_take(px_intake *intake);
// px_intake_wait sleeps until there is something to take, for timeout_ms at most (-1: no limit).
// px-store.
void px_intake_wait(px_intake *intake, int timeout_ms);

#endif
