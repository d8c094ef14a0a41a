// Large buffers on one host. pwrite, not mmap and memcpy: on fresh pages the page faults are the
// cost, and pwrite takes them in the kernel in bulk (0.75 to 1.7 GB/s against 0.3 to 0.85).
//
// The receiver opens the sender's descriptor through /proc, which the kernel allows to the same
// user only. What it finds there may be something else: the descriptor closed and used again, the
// process gone and its number used again. Size, inode, seals and the sender's start time tell. The
// seals are what makes it safe to map: nobody can shrink it (no SIGBUS) or change it later.
#include "px/segment.h"

#include "little.h"

#include "px/id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
// Of a segment that its maker fills again: nobody else can write to it, and it cannot shrink.
#define LENT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 // Linux 5.14; an older one refuses it
#endif
#define WRITE_AT_MOST ((size_t)1 << 30) // one write(2) takes a little less than 2 GiB

static px_err fail(px_error *reterr, const char *what)
{
    int errnum = errno;
    char text[128];
    const char *reason = strerror_r(errnum, text, sizeof(text));

    return px_error_set(reterr, px_err_from_errno(errnum), "%s: %s", what, reason);
}

// The start time of a process, in ticks since boot: field 22 of /proc/<pid>/stat, the 20th after
// the name's bracket.
static px_err start_time(uint32_t pid, uint64_t *ret_ticks)
{
    char path[40];
    char text[1024];
    long long ticks = 0;

    (void)snprintf(path, sizeof(path), "/proc/%u/stat", pid); // fits
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return px_err_from_errno(errno);
    }
    ssize_t size = read(fd, text, sizeof(text) - 1);
    (void)close(fd); // opened for reading only
    if (size <= 0) {
        return PX_ENOENT;
    }
    text[size] = '\0';
    char *field = strrchr(text, ')'); // the name may hold spaces and brackets
    for (int i = 0; field != NULL && i < 20; i++) {
        field = strchr(field + 1, ' ');
    }
    if (field == NULL) {
        return PX_EFORMAT;
    }
    char *end = strchrnul(field + 1, ' ');
    *end = '\0';
    PX_TRY(px_parse_number(field + 1, 0, INT64_MAX, &ticks));
    *ret_ticks = (uint64_t)ticks;
    return PX_OK;
}

static px_err fill(int fd, px_slice bytes)
{
    size_t done = 0;

    while (done < bytes.size) {
        size_t want = bytes.size - done < WRITE_AT_MOST ? bytes.size - done : WRITE_AT_MOST;
        ssize_t written = pwrite(fd, bytes.data + done, want, (off_t)done);
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            return px_err_from_errno(errno);
        }
        done += (size_t)written;
    }
    return PX_OK;
}

static px_err make(int fd, px_slice bytes, px_segment_ref *ret_ref, px_error *reterr)
{
    struct stat status;
    px_segment_ref ref = {.pid = (uint32_t)getpid(), .fd = (uint32_t)fd, .size = bytes.size};

    if (fill(fd, bytes) != PX_OK) {
        return fail(reterr, "cannot fill a shared memory segment");
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        return fail(reterr, "cannot seal a shared memory segment");
    }
    if (fstat(fd, &status) != 0) {
        return fail(reterr, "cannot look at a shared memory segment");
    }
    ref.inode = status.st_ino;
    px_err err = start_time(ref.pid, &ref.nonce);
    if (err != PX_OK) {
        return px_error_set(reterr, err, "cannot read /proc/%u/stat: is /proc mounted?", ref.pid);
    }
    *ret_ref = ref;
    return PX_OK;
}

px_err px_segment_create(px_slice bytes, int *ret_fd, px_segment_ref *ret_ref, px_error *reterr)
{
    if (bytes.size == 0) {
        return px_error_set(reterr, PX_EINVAL, "an empty buffer needs no segment");
    }
    int fd = memfd_create("px-segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return fail(reterr, "cannot create a shared memory segment");
    }
    px_err err = make(fd, bytes, ret_ref, reterr);
    if (err != PX_OK) {
        (void)close(fd); // nothing in it is wanted
        return err;
    }
    *ret_fd = fd;
    return PX_OK;
}

void px_segment_encode(const px_segment_ref *ref, uint8_t ret_wire[PX_SEGMENT_REF_SIZE])
{
    px__put(ret_wire, ref->pid, 4);
    px__put(ret_wire + 4, ref->fd, 4);
    px__put(ret_wire + 8, ref->size, 8);
    px__put(ret_wire + 16, ref->inode, 8);
    px__put(ret_wire + 24, ref->nonce, 8);
}

px_err px_segment_decode(px_slice wire, px_segment_ref *ret_ref)
{
    if (wire.size != PX_SEGMENT_REF_SIZE) {
        return PX_EFORMAT;
    }
    const px_segment_ref ref = {.pid = (uint32_t)px__get(wire.data, 4),
                                .fd = (uint32_t)px__get(wire.data + 4, 4),
                                .size = px__get(wire.data + 8, 8),
                                .inode = px__get(wire.data + 16, 8),
                                .nonce = px__get(wire.data + 24, 8)};
    if (ref.pid == 0 || ref.pid > INT32_MAX || ref.fd > INT32_MAX || ref.size == 0 ||
        ref.size > SIZE_MAX / 2) {
        return PX_EFORMAT;
    }
    *ret_ref = ref;
    return PX_OK;
}

static void unmap(void *data, void *hint)
{
    (void)munmap(data, (size_t)(uintptr_t)hint); // what mmap gave, so it cannot fail
}

static px_err map(int fd, const px_segment_ref *ref, px_bytes **ret_bytes, px_error *reterr)
{
    struct stat status;
    uint64_t ticks = 0;

    if (fstat(fd, &status) != 0) {
        return fail(reterr, "cannot look at a shared memory segment");
    }
    int seals = fcntl(fd, F_GET_SEALS);
    bool lent = seals >= 0 && (seals & LENT_SEALS) == LENT_SEALS;
    bool sealed = seals >= 0 && (seals & SEALS) == SEALS;
    uint64_t size = (uint64_t)status.st_size;
    bool fits = lent ? size >= ref->size && ref->size > 0 : size == ref->size;
    if (status.st_ino != ref->inode || !fits || (!sealed && !lent)) {
        return px_error_set(reterr, PX_EFORMAT,
                            "descriptor %u of process %u is not the segment that was sent: the "
                            "sender closed it too early",
                            ref->fd, ref->pid);
    }
    // After the open: had the process ended before it, its successor's start time would differ.
    if (start_time(ref->pid, &ticks) != PX_OK || ticks != ref->nonce) {
        return px_error_set(reterr, PX_ENOENT, "process %u, which sent a segment, is gone",
                            ref->pid);
    }
    void *data = mmap(NULL, ref->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        return fail(reterr, "cannot map a shared memory segment");
    }
    px_err err = px_bytes_adopt(data, ref->size, unmap, (void *)(uintptr_t)ref->size, ret_bytes);
    if (err != PX_OK) {
        (void)munmap(data, ref->size); // what mmap gave
        return px_error_set(reterr, err, "out of memory");
    }
    return PX_OK;
}

px_err px_segment_map(const px_segment_ref *ref, px_bytes **ret_bytes, px_error *reterr)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%u/fd/%u", ref->pid, ref->fd); // fits
    // O_NONBLOCK: if it is something else by now, a FIFO for one, opening must not stop us.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fail(reterr, "cannot open a shared memory segment of another process");
    }
    px_err err = map(fd, ref, ret_bytes, reterr);
    (void)close(fd); // the mapping stays
    return err;
}

// --- segments that are filled again -------------------------------------------------------------

struct px_segment {
    int fd;
    size_t capacity;
    uint8_t *data;      // mapped shared and writable: the only such mapping there will ever be
    atomic_bool mapped; // its pages are in our page table
    px_segment_ref ref;
};

// map_pages enters all pages into the page table before they are read or written for the first
// time. A read takes 16 at once where a write takes one, and leaves them writable all the same:
// 0.07 ms a MiB instead of 0.3.
static void map_pages(px_segment *segment)
{
    if (!atomic_exchange(&segment->mapped, true)) {
        (void)madvise(segment->data, segment->capacity, MADV_POPULATE_READ); // else one by one
    }
}

// seal_lent fills the new descriptor by pwrite (the pages are fresh) and gives it its seals.
static px_err seal_lent(px_segment *segment, px_slice bytes, px_error *reterr)
{
    struct stat status;
    if (fill(segment->fd, bytes) != PX_OK) {
        return fail(reterr, "cannot fill a shared memory segment");
    }
    if (fcntl(segment->fd, F_ADD_SEALS, LENT_SEALS) != 0) {
        return fail(reterr, "cannot seal a shared memory segment");
    }
    if (fstat(segment->fd, &status) != 0) {
        return fail(reterr, "cannot look at a shared memory segment");
    }
    segment->ref = (px_segment_ref){.pid = (uint32_t)getpid(),
                                    .fd = (uint32_t)segment->fd,
                                    .size = bytes.size,
                                    .inode = status.st_ino};
    px_err err = start_time(segment->ref.pid, &segment->ref.nonce);
    if (err != PX_OK) {
        return px_error_set(reterr, err, "cannot read /proc/%u/stat: is /proc mounted?",
                            segment->ref.pid);
    }
    return PX_OK;
}

static px_err open_lent(px_segment *segment, size_t size, px_error *reterr)
{
    segment->fd = memfd_create("px-segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (segment->fd < 0 || ftruncate(segment->fd, (off_t)size) != 0) {
        return fail(reterr, "cannot create a shared memory segment");
    }
    // Before the seals: after them no writable mapping can be had.
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, segment->fd, 0);
    if (data == MAP_FAILED) {
        return fail(reterr, "cannot map a shared memory segment");
    }
    segment->data = data;
    segment->capacity = size;
    return PX_OK;
}

px_err px_segment_new(px_slice bytes, px_segment **ret_segment, px_segment_ref *ret_ref,
                      px_error *reterr)
{
    if (bytes.size == 0) {
        return px_error_set(reterr, PX_EINVAL, "an empty buffer needs no segment");
    }
    px_segment *segment = calloc(1, sizeof(*segment));
    if (segment == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    segment->fd = -1;
    px_err err = open_lent(segment, bytes.size, reterr);
    if (err == PX_OK) {
        err = seal_lent(segment, bytes, reterr);
    }
    if (err != PX_OK) {
        px_segment_free(segment);
        return err;
    }
    *ret_ref = segment->ref;
    *ret_segment = segment;
    return PX_OK;
}

px_err px_segment_refill(px_segment *segment, px_slice bytes, px_segment_ref *ret_ref)
{
    if (bytes.size == 0 || bytes.size > segment->capacity) {
        return PX_ETOOBIG;
    }
    map_pages(segment);
    memcpy(segment->data, bytes.data, bytes.size);
    segment->ref.size = bytes.size;
    *ret_ref = segment->ref;
    return PX_OK;
}

bool px_segment_holds(px_segment *segment, px_slice bytes)
{
    map_pages(segment);
    return px_slice_equal(px_slice_of(segment->data, segment->ref.size), bytes);
}

size_t px_segment_capacity(const px_segment *segment)
{
    return segment->capacity;
}

void px_segment_free(px_segment *segment)
{
    if (segment == NULL) {
        return;
    }
    if (segment->data != NULL) {
        (void)munmap(segment->data, segment->capacity); // what mmap gave
    }
    if (segment->fd >= 0) {
        (void)close(segment->fd);
    }
    free(segment);
}
