// intake.c: see intake.h.
//
// `asleep` is set before px-store looks at the stack for the last time and read by a poster after
// its push: one of the two sees the other. The eventfd is written after what it tells of, and read
// before px-store looks, so no wake is lost; a needless one costs a look.

#include "intake.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define GATHER_MS 50
#define MOST_SPARE 2048

px_err px_intake_init(px_intake *intake)
{
    *intake = (px_intake){.fd = -1};
    atomic_init(&intake->top, NULL);
    atomic_init(&intake->back, NULL);
    atomic_init(&intake->asleep, false);
    atomic_init(&intake->urgent, false);
    atomic_init(&intake->bytes, 0);
    intake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return intake->fd >= 0 ? PX_OK : px_err_from_errno(errno);
}

// --- what is kept --------------------------------------------------------------------------------

#define SMALL ((size_t)32 << 10)

// push puts kept on a stack.
static void push(_Atomic(px_kept *) *stack, px_kept *kept)
{
    px_kept *top = atomic_load_explicit(stack, memory_order_relaxed);
    do {
        kept->next = top;
    } while (!atomic_compare_exchange_weak(stack, &top, kept));
}

// sort_back puts memory that came back where it will be found; what is too much is freed.
static void sort_back(px_intake *intake)
{
    for (px_kept *kept = atomic_exchange(&intake->back, NULL), *next; kept != NULL; kept = next) {
        next = kept->next;
        if (intake->n_spare >= MOST_SPARE) {
            free(kept);
            continue;
        }
        kept->next = intake->spare[kept->room];
        intake->spare[kept->room] = kept;
        intake->n_spare++;
    }
}

static size_t room_size(size_t class)
{
    return (class + 1) * PX_ROOM;
}

// room gives memory for a message of that size. px-relay.
static px_kept *room(px_intake *intake, size_t size, uint16_t *ret_class)
{
    size_t class = (sizeof(px_kept) + size - 1) / PX_ROOM;
    if (class >= PX_ROOMS) {
        return NULL;
    }
    if (intake->spare[class] == NULL) {
        sort_back(intake);
    }
    px_kept *kept = intake->spare[class];
    *ret_class = (uint16_t) class;
    if (kept == NULL) {
        return malloc(room_size(class));
    }
    intake->spare[class] = kept->next;
    intake->n_spare--;
    return kept;
}

static size_t sum(const px_slice *frames, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        size += frames[i].size;
    }
    return size;
}

// fill copies frames into kept, whose other members are set. Gives kept, which may be NULL.
static px_kept *fill(px_kept *kept, const px_slice *frames, size_t n)
{
    size_t end = 0;
    if (kept == NULL) {
        return NULL;
    }
    kept->n_small = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        if (frames[i].size > 0) {
            memcpy(kept->bytes + end, frames[i].data, frames[i].size);
        }
        end += frames[i].size;
        kept->ends[i] = (uint32_t)end;
    }
    kept->size = end;
    return kept;
}

// begin sets what every message has, but for its frames.
static void begin(px_kept *kept, px_kept_kind kind, px_intake *home, uint16_t class)
{
    // Not the array of ends, which fill writes as far as it is used.
    kept->next = NULL;
    kept->home = home;
    kept->kind = kind;
    kept->client = 0;
    kept->engine = 0;
    kept->refs = 1;
    kept->room = class;
    kept->task = 0;
    kept->delivered = false;
    kept->failed = false;
    kept->frames = NULL;
}

px_kept *px_kept_new(px_kept_kind kind, const px_slice *frames, size_t n)
{
    px_kept *kept = malloc(sizeof(*kept) + sum(frames, n));
    if (kept != NULL) {
        begin(kept, kind, NULL, 0);
    }
    return fill(kept, frames, n);
}

static px_kept *reference(px_kept_kind kind, const px_frames *frames)
{
    px_kept *kept = calloc(1, sizeof(*kept));
    px_frames *own = calloc(1, sizeof(*own));
    if (kept == NULL || own == NULL ||
        px_frames_share(own, frames, 0, px_frames_count(frames)) != PX_OK) {
        free(kept);
        free(own);
        return NULL;
    }
    *kept = (px_kept){.kind = kind, .refs = 1, .size = px_frames_bytes(own), .frames = own};
    return kept;
}

px_kept *px_kept_message(px_intake *home, px_kept_kind kind, const px_frames *frames)
{
    uint16_t class = 0;
    px_slice slices[PX_KEPT_FRAMES];
    size_t n = frames != NULL ? px_frames_count(frames) : 0;
    if (n > PX_KEPT_FRAMES || (frames != NULL && px_frames_bytes(frames) > SMALL)) {
        return reference(kind, frames);
    }
    for (size_t i = 0; i < n; i++) {
        slices[i] = px_frames_get(frames, i);
    }
    px_kept *kept = room(home, sum(slices, n), &class);
    if (kept == NULL) {
        return px_kept_new(kind, slices, n);
    }
    begin(kept, kind, home, class);
    return fill(kept, slices, n);
}

size_t px_kept_count(const px_kept *kept)
{
    return kept->frames != NULL ? px_frames_count(kept->frames) : kept->n_small;
}

px_slice px_kept_frame(const px_kept *kept, size_t index)
{
    if (kept->frames != NULL) {
        return index < px_frames_count(kept->frames) ? px_frames_get(kept->frames, index)
                                                     : (px_slice){0};
    }
    if (index >= kept->n_small) {
        return (px_slice){0};
    }
    size_t start = index > 0 ? kept->ends[index - 1] : 0;
    return px_slice_of(kept->bytes + start, kept->ends[index] - start);
}

px_err px_kept_share(const px_kept *kept, px_frames *frames)
{
    if (kept->frames != NULL) {
        return px_frames_share(frames, kept->frames, 0, px_frames_count(kept->frames));
    }
    for (size_t i = 0; i < kept->n_small; i++) {
        PX_TRY(px_frames_push_copy(frames, px_kept_frame(kept, i)));
    }
    return PX_OK;
}

px_frames *px_kept_own(px_kept *kept)
{
    if (kept->frames == NULL) {
        px_frames *own = calloc(1, sizeof(*own));
        if (own == NULL || px_kept_share(kept, own) != PX_OK) {
            free(own);
            return NULL;
        }
        kept->frames = own;
    }
    return kept->frames;
}

px_kept *px_kept_ref(px_kept *kept)
{
    kept->refs++;
    return kept;
}

void px_kept_unref(px_kept *kept)
{
    if (kept != NULL && --kept->refs == 0) {
        if (kept->frames != NULL) {
            px_frames_done(kept->frames);
            free(kept->frames);
        }
        if (kept->home != NULL) {
            push(&kept->home->back, kept);
        } else {
            free(kept);
        }
    }
}

// --- the stack -----------------------------------------------------------------------------------

void px_intake_done(px_intake *intake)
{
    if (intake->fd < 0) {
        return;
    }
    for (px_kept *kept = px_intake_take(intake), *next; kept != NULL; kept = next) {
        next = kept->next;
        px_kept_unref(kept);
    }
    sort_back(intake);
    for (size_t i = 0; i < PX_ROOMS; i++) {
        for (px_kept *kept = intake->spare[i], *next; kept != NULL; kept = next) {
            next = kept->next;
            free(kept);
        }
    }
    (void)close(intake->fd);
    intake->fd = -1;
}

static void wake(const px_intake *intake)
{
    const uint64_t one = 1;
    ssize_t written = write(intake->fd, &one, sizeof(one));
    (void)written; // a full counter is readable as well
}

// memory_of is how much memory a message takes, which for a small one is more than its bytes.
static size_t memory_of(const px_kept *kept)
{
    return kept->home != NULL ? room_size(kept->room) : sizeof(*kept) + kept->size;
}

void px_intake_post(px_intake *intake, px_kept *kept, bool urgent)
{
    (void)atomic_fetch_add_explicit(&intake->bytes, memory_of(kept), memory_order_relaxed);
    push(&intake->top, kept);
    if (urgent) {
        atomic_store(&intake->urgent, true);
        wake(intake);
    } else if (atomic_load(&intake->asleep) && atomic_exchange(&intake->asleep, false)) {
        wake(intake);
    }
}

px_kept *px_intake_take(px_intake *intake)
{
    px_kept *kept = atomic_exchange(&intake->top, NULL);
    px_kept *oldest = NULL;
    size_t bytes = 0;
    while (kept != NULL) {
        px_kept *next = kept->next;
        kept->next = oldest;
        oldest = kept;
        bytes += memory_of(kept);
        kept = next;
    }
    (void)atomic_fetch_sub_explicit(&intake->bytes, bytes, memory_order_relaxed);
    return oldest;
}

static void sleep_until_woken(const px_intake *intake, int timeout_ms)
{
    struct pollfd line = {.fd = intake->fd, .events = POLLIN};
    uint64_t count;
    (void)poll(&line, 1, timeout_ms);
    ssize_t got = read(intake->fd, &count, sizeof(count));
    (void)got; // nothing there: the time is over
}

void px_intake_wait(px_intake *intake, int timeout_ms)
{
    atomic_store(&intake->asleep, true);
    if (atomic_load(&intake->top) == NULL) {
        sleep_until_woken(intake, timeout_ms);
    }
    atomic_store(&intake->asleep, false);
    if (!atomic_load(&intake->urgent) && atomic_load(&intake->top) != NULL) {
        sleep_until_woken(intake, GATHER_MS);
    }
    atomic_store(&intake->urgent, false);
}
