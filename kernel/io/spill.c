// Files of output. A letter in the mailbox is one piece of text; the thread writes it, and tells
// px-io when a file has come to rest. What cannot be written is counted and the cause kept: the
// note in the notebook says so.

#include "io/spill.h"

#include "io/need.h"
#include "io/spill_folder.h"

#include "px/log.h"
#include "px/mailbox.h"
#include "px/own.h"
#include "px/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOOK_AT_DISK ((uint64_t)64 << 20) // bytes written between two looks at what is free

struct px_spills {
    px_room *room;
    px_mailbox box; // to px-spill
    int fd;         // eventfd, to px-io
    pthread_mutex_t lock;
    pthread_cond_t rest; // a file has settled
    pthread_t thread;
    bool runs;                  // under lock
    pthread_mutex_t place_lock; // one file is made at a time
    px_spill_place place;
};

struct px_spill {
    px_spills *spills;
    const char *ending; // of the file's name
    atomic_uint refs;
    int fd;                 // the writing thread's
    uint64_t next_look;     // … look at the disk's free space then
    size_t pending;         // letters not yet written; under spills->lock
    px_spill_report report; // under spills->lock
};

typedef struct piece {
    px_letter letter;
    px_spill *spill;
    px_bytes *bytes;
    size_t from;
} piece;

enum { PIECE, END };

px_err px_spills_new(px_room *room, px_spills **ret_spills)
{
    px_spills *spills = px_need_zeroed(sizeof(*spills));
    spills->room = room;
    px_spill_place_find(&spills->place);
    px_err err = px_mailbox_init(&spills->box);
    if (err != PX_OK) {
        free(spills);
        return err;
    }
    spills->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (spills->fd < 0) {
        err = px_err_from_errno(errno);
        px_mailbox_done(&spills->box);
        free(spills);
        return err;
    }
    px_must(pthread_mutex_init(&spills->lock, NULL) == 0 ? PX_OK : PX_ENOMEM);
    px_must(pthread_mutex_init(&spills->place_lock, NULL) == 0 ? PX_OK : PX_ENOMEM);
    px_must(pthread_cond_init(&spills->rest, NULL) == 0 ? PX_OK : PX_ENOMEM);
    *ret_spills = spills;
    return PX_OK;
}

int px_spills_fd(const px_spills *spills)
{
    return spills->fd;
}

void px_spills_clear(px_spills *spills)
{
    uint64_t count;
    (void)!read(spills->fd, &count, sizeof(count)); // nothing to read: it was cleared before
}

static void tell(const px_spills *spills)
{
    uint64_t one = 1;
    (void)!write(spills->fd, &one, sizeof(one)); // a full counter is readable already
}

// --- one file -----------------------------------------------------------------------------------

px_spill *px_spill_new(px_spills *spills, const char *ending)
{
    px_spill *spill = px_need_zeroed(sizeof(*spill));
    spill->spills = spills;
    spill->ending = ending;
    atomic_init(&spill->refs, 1);
    spill->fd = -1;
    spill->report.settled = true;
    return spill;
}

px_spill *px_spill_ref(px_spill *spill)
{
    (void)atomic_fetch_add_explicit(&spill->refs, 1, memory_order_relaxed);
    return spill;
}

void px_spill_unref(px_spill *spill)
{
    if (spill == NULL || atomic_fetch_sub_explicit(&spill->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (spill->fd >= 0) {
        (void)close(spill->fd);
    }
    free(spill);
}

// lose notes that size bytes were not written.
static void lose(px_spill *spill, uint64_t size, const char *cause)
{
    px_spill_report *report = &spill->report;
    (void)pthread_mutex_lock(&spill->spills->lock);
    if (report->lost == 0) {
        px_log_warning("output was not written", "file=%s cause=\"%s\"", report->path, cause);
        (void)snprintf(report->cause, sizeof(report->cause), "%s", cause);
    }
    report->lost += size;
    (void)pthread_mutex_unlock(&spill->spills->lock);
}

static bool open_file(px_spill *spill)
{
    px_spill_report made = {0};
    (void)pthread_mutex_lock(&spill->spills->place_lock);
    px_spill_purge(&spill->spills->place);
    spill->fd = px_spill_open(&spill->spills->place, spill->ending, made.path, made.link);
    int cause = errno;
    (void)pthread_mutex_unlock(&spill->spills->place_lock);
    if (spill->fd < 0) {
        errno = cause;
        return false;
    }
    (void)pthread_mutex_lock(&spill->spills->lock);
    memcpy(spill->report.path, made.path, sizeof(made.path));
    memcpy(spill->report.link, made.link, sizeof(made.link));
    (void)pthread_mutex_unlock(&spill->spills->lock);
    return true;
}

// why_not tells why nothing more may be written; NULL: it may.
static const char *why_not(px_spill *spill)
{
    if (spill->report.written >= PX_SPILL_MOST) {
        return "the file has grown to its limit";
    }
    if (spill->report.written >= spill->next_look) {
        struct statvfs disk;
        spill->next_look = spill->report.written + LOOK_AT_DISK;
        if (fstatvfs(spill->fd, &disk) == 0 &&
            (uint64_t)disk.f_bavail * disk.f_frsize < PX_SPILL_KEEP_FREE) {
            spill->next_look = 0;
            return "the disk is nearly full";
        }
    }
    return NULL;
}

static void write_text(px_spill *spill, px_slice text)
{
    if (spill->fd < 0 && !open_file(spill)) {
        lose(spill, text.size, strerror(errno));
        return;
    }
    while (text.size > 0) {
        const char *cause = why_not(spill);
        if (cause != NULL) {
            lose(spill, text.size, cause);
            return;
        }
        size_t step = text.size < LOOK_AT_DISK ? text.size : LOOK_AT_DISK;
        ssize_t n = write(spill->fd, text.data, step);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            lose(spill, text.size, strerror(errno));
            return;
        }
        (void)pthread_mutex_lock(&spill->spills->lock);
        spill->report.written += (uint64_t)n;
        (void)pthread_mutex_unlock(&spill->spills->lock);
        text = px_slice_of(text.data + n, text.size - (size_t)n);
    }
}

void px_spill_write_now(px_spill *spill, px_slice text)
{
    write_text(spill, text);
}

void px_spill_look(px_spill *spill, px_spill_report *ret_report)
{
    (void)pthread_mutex_lock(&spill->spills->lock);
    *ret_report = spill->report;
    ret_report->settled = spill->pending == 0;
    (void)pthread_mutex_unlock(&spill->spills->lock);
}

// --- the thread ---------------------------------------------------------------------------------

static void write_piece(px_spills *spills, piece *one)
{
    px_spill *spill = one->spill;
    px_slice whole = px_bytes_slice(one->bytes);
    px_slice text = px_slice_of(whole.data + one->from, whole.size - one->from);
    bool opens = spill->fd < 0;
    write_text(spill, text);
    size_t size = text.size;
    px_bytes_unref(one->bytes);
    (void)atomic_fetch_sub(&spills->room->writing, size);
    px_room_wake(spills->room);
    (void)pthread_mutex_lock(&spills->lock);
    bool settled = --spill->pending == 0;
    if (settled) {
        (void)pthread_cond_broadcast(&spills->rest);
    }
    (void)pthread_mutex_unlock(&spills->lock);
    if (settled || opens) {
        tell(spills);
    }
    px_spill_unref(spill);
    free(one);
}

static void *spill_body(void *arg)
{
    px_spills *spills = arg;
    struct pollfd item = {.fd = px_mailbox_fd(&spills->box), .events = POLLIN};
    for (;;) {
        (void)poll(&item, 1, -1);
        px_letter *letter = NULL;
        while ((letter = px_mailbox_take_one(&spills->box)) != NULL) {
            if (letter->kind == END) {
                free(letter);
                return NULL;
            }
            write_piece(spills, PX_CONTAINER(letter, piece, letter));
        }
    }
}

// start makes the thread when there is none. Lock held. False: it cannot be made.
static bool start(px_spills *spills)
{
    if (!spills->runs) {
        spills->runs = px_thread_start(&spills->thread, "px-spill", spill_body, spills) == PX_OK;
    }
    return spills->runs;
}

void px_spill_write(px_spill *spill, px_bytes *bytes, size_t from)
{
    px_spills *spills = spill->spills;
    size_t size = px_bytes_slice(bytes).size - from;
    (void)pthread_mutex_lock(&spills->lock);
    bool runs = start(spills);
    spill->pending += runs ? 1 : 0;
    (void)pthread_mutex_unlock(&spills->lock);
    if (!runs) {
        lose(spill, size, "no thread can be made to write it");
        return;
    }
    piece *one = px_need_zeroed(sizeof(*one));
    one->letter.kind = PIECE;
    one->spill = px_spill_ref(spill);
    one->bytes = px_bytes_ref(bytes);
    one->from = from;
    (void)atomic_fetch_add(&spills->room->writing, size);
    px_mailbox_post(&spills->box, &one->letter);
}

void px_spill_wait(px_spill *spill)
{
    px_spills *spills = spill->spills;
    (void)pthread_mutex_lock(&spills->lock);
    while (spill->pending > 0) {
        (void)pthread_cond_wait(&spills->rest, &spills->lock);
    }
    (void)pthread_mutex_unlock(&spills->lock);
}

void px_spills_free(px_spills *spills)
{
    if (spills == NULL) {
        return;
    }
    if (spills->runs) {
        px_letter *end = px_need_zeroed(sizeof(*end));
        end->kind = END;
        px_mailbox_post(&spills->box, end);
        (void)pthread_join(spills->thread, NULL);
    }
    px_mailbox_done(&spills->box);
    (void)close(spills->fd);
    (void)pthread_cond_destroy(&spills->rest);
    (void)pthread_mutex_destroy(&spills->lock);
    (void)pthread_mutex_destroy(&spills->place_lock);
    free(spills);
}
