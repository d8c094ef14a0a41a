// Capturing descriptors 1 and 2.
//
// Two readers, one lock: px-io, woken by the pipe, so that a C call that holds the GIL and prints
// megabytes never fills the pipe; and whoever posts something of a cell (px_capture_drain), so that
// what `os.system("echo")` wrote stands in front of what Python prints next and inside the cell
// that ran it. Reading never blocks.
//
// The text belongs to the request that runs (or ran last). Characters are kept together: up to
// three bytes of an unfinished one wait for the rest, until the end of the request.

#include "io/capture.h"

#include "io/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)65536)
// Looking at the pipes costs as much as a print. PAUSE: ns from text to text in which nobody else
// can have written, since a system call takes more. Where MISSES looks in a row found nothing,
// there is a loop that prints, and PAUSE_LONG is what a call of C code that prints takes, all in
// all.
#define PAUSE 400
#define PAUSE_LONG 2000
#define MISSES 256
#define CALIBRATION (10 * PX_NS_PER_MS)
#define COPY_MOST ((size_t)1 << 20) // bytes of one request that are also passed on
#define ROUNDS 64 // chunks a drain reads at most: a writer that never stops must not keep us

static px_err make_pipe(px_capture_pipe *pipe)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return px_err_from_errno(errno);
    }
    pipe->read_fd = ends[0];
    pipe->write_fd = ends[1];
    int flags = fcntl(ends[0], F_GETFL);
    if (flags < 0 || fcntl(ends[0], F_SETFL, flags | O_NONBLOCK) < 0) {
        return px_err_from_errno(errno);
    }
    return PX_OK;
}

px_err px_capture_init(px_capture *capture, px_outbox *outbox, bool wanted)
{
    *capture = (px_capture){
        .outbox = outbox,
        .pipes = {{.read_fd = -1, .write_fd = -1, .original_fd = 1},
                  {.read_fd = -1, .write_fd = -1, .original_fd = 2}},
    };
    if (pthread_mutex_init(&capture->lock, NULL) != 0) {
        return PX_ENOMEM;
    }
    for (int which = 0; wanted && which < 2; which++) {
        px_err err = make_pipe(&capture->pipes[which]);
        if (err != PX_OK) {
            px_capture_done(capture);
            return err;
        }
    }
    return PX_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

void px_capture_done(px_capture *capture)
{
    for (int which = 0; which < 2; which++) {
        px_capture_pipe *pipe = &capture->pipes[which];
        close_fd(&pipe->read_fd);
        close_fd(&pipe->write_fd);
        if (pipe->original_fd > 2) {
            close_fd(&pipe->original_fd);
        }
    }
    (void)pthread_mutex_destroy(&capture->lock);
}

int px_capture_fd(const px_capture *capture, int which)
{
    return capture->pipes[which].read_fd;
}

int px_capture_original(const px_capture *capture, int which)
{
    return capture->pipes[which].original_fd;
}

// ticks is a clock that costs less than px_now, where the processor has one.
static uint64_t ticks(void)
{
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    return px_now();
#endif
}

px_err px_capture_start(px_capture *capture, px_error *reterr)
{
    for (int which = 0; which < 2 && capture->pipes[which].write_fd >= 0; which++) {
        px_capture_pipe *pipe = &capture->pipes[which];
        int fd = which + 1;
        // A descriptor that was closed has no original: nothing is passed on.
        pipe->original_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (dup2(pipe->write_fd, fd) < 0) {
            return px_error_set(reterr, px_err_from_errno(errno),
                                "cannot capture descriptor %d: %s", fd, strerror(errno));
        }
    }
    capture->opened = px_now();
    capture->opened_ticks = ticks();
    atomic_store(&capture->on, capture->pipes[0].write_fd >= 0);
    return PX_OK;
}

void px_capture_stop(px_capture *capture)
{
    if (!atomic_load(&capture->on)) {
        return;
    }
    for (int which = 0; which < 2; which++) {
        if (capture->pipes[which].original_fd >= 0) {
            (void)dup2(capture->pipes[which].original_fd, which + 1);
        }
    }
    px_capture_drain(capture, true);
    atomic_store(&capture->on, false);
}

// incomplete is how many bytes at the end of data begin a UTF-8 character that is not whole.
static size_t incomplete(const uint8_t *data, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        uint8_t byte = data[size - back];
        if (byte < 0x80) {
            return 0;
        }
        if (byte >= 0xC0) {
            size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
            return length > back ? back : 0;
        }
    }
    return 0;
}

// copy_on passes bytes to where they would have gone without us, as far as that takes them at once.
static void copy_on(int fd, const uint8_t *data, size_t size)
{
    while (fd >= 0 && size > 0) {
        struct pollfd item = {.fd = fd, .events = POLLOUT};
        if (poll(&item, 1, 0) != 1 || (item.revents & POLLOUT) == 0) {
            return;
        }
        // A pipe that is writable takes PIPE_BUF bytes without blocking.
        ssize_t n = write(fd, data, size < 4096 ? size : 4096);
        if (n <= 0) {
            return;
        }
        data += n;
        size -= (size_t)n;
    }
}

// pass_on copies bytes to the original descriptor, which may be a server's log: not a flood of
// them.
static void pass_on(px_capture *capture, const px_capture_pipe *pipe, px_slice text)
{
    static const char end[] = "\n[pxkernel: more output of this cell is not copied here]\n";
    size_t left = COPY_MOST - capture->copied;
    copy_on(pipe->original_fd, text.data, text.size < left ? text.size : left);
    if (text.size > left && left > 0) {
        copy_on(pipe->original_fd, (const uint8_t *)end, sizeof(end) - 1);
    }
    capture->copied += text.size < left ? text.size : left;
}

// take_chunk reads once and posts what is whole. False when there is nothing more.
static bool take_chunk(px_capture *capture, int which, px_parent *parent)
{
    px_capture_pipe *pipe = &capture->pipes[which];
    uint8_t data[CHUNK + sizeof(pipe->tail)];
    memcpy(data, pipe->tail, pipe->n_tail);
    ssize_t n = read(pipe->read_fd, data + pipe->n_tail, CHUNK);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    atomic_store_explicit(&capture->misses, 0, memory_order_relaxed);
    pass_on(capture, pipe, px_slice_of(data + pipe->n_tail, (size_t)n));
    px_last_words *words = which == 1 ? atomic_load(&capture->words) : NULL;
    if (words != NULL) {
        px_words_add(words, data + pipe->n_tail, (size_t)n);
    }
    size_t size = pipe->n_tail + (size_t)n;
    size_t rest = incomplete(data, size);
    px_outbox_write(capture->outbox, parent, which == 0 ? PX_STDOUT : PX_STDERR,
                    px_slice_of(data, size - rest));
    memcpy(pipe->tail, data + size - rest, rest);
    pipe->n_tail = (uint8_t)rest;
    return true;
}

void px_capture_drain(px_capture *capture, bool end)
{
    if (!atomic_load_explicit(&capture->on, memory_order_relaxed)) {
        return;
    }
    (void)pthread_mutex_lock(&capture->lock);
    atomic_store(&capture->draining, true); // before anything is read
    px_parent *parent = px_outbox_current(capture->outbox);
    if (capture->copied_for != parent) {
        capture->copied_for = parent;
        capture->copied = 0;
    }
    for (int which = 0; which < 2; which++) {
        px_capture_pipe *pipe = &capture->pipes[which];
        for (int round = 0; round < ROUNDS && take_chunk(capture, which, parent); round++) {
        }
        if (end && pipe->n_tail > 0) {
            px_outbox_write(capture->outbox, parent, which == 0 ? PX_STDOUT : PX_STDERR,
                            px_slice_of(pipe->tail, pipe->n_tail));
            pipe->n_tail = 0;
        }
    }
    px_parent_unref(parent);
    atomic_store(&capture->draining, false);
    (void)pthread_mutex_unlock(&capture->lock);
}

// has_text tells if a pipe holds something, or somebody has just taken it and not yet posted it.
static bool has_text(const px_capture *capture)
{
    struct pollfd items[2] = {{.fd = capture->pipes[0].read_fd, .events = POLLIN},
                              {.fd = capture->pipes[1].read_fd, .events = POLLIN}};
    return poll(items, 2, 0) > 0 || atomic_load(&capture->draining);
}

// set_pace learns how many ticks a nanosecond has. Called when a look at the pipes is made anyway.
static void set_pace(px_capture *capture, uint64_t now)
{
    px_ns passed = px_now() - capture->opened;
    if (passed > CALIBRATION) {
        atomic_store_explicit(&capture->pace,
                              (double)(now - capture->opened_ticks) / (double)passed,
                              memory_order_relaxed);
    }
}

void px_capture_before_text(px_capture *capture)
{
    if (!atomic_load_explicit(&capture->on, memory_order_relaxed)) {
        return;
    }
    uint64_t now = ticks();
    uint64_t before = atomic_exchange_explicit(&capture->last_text, now, memory_order_relaxed);
    unsigned misses = atomic_load_explicit(&capture->misses, memory_order_relaxed);
    double pace = atomic_load_explicit(&capture->pace, memory_order_relaxed);
    if ((double)(now - before) < (misses < MISSES ? PAUSE : PAUSE_LONG) * pace) {
        return;
    }
    set_pace(capture, now);
    if (has_text(capture)) {
        px_capture_drain(capture, false);
    } else if (misses < MISSES) {
        atomic_store_explicit(&capture->misses, misses + 1, memory_order_relaxed);
    }
}
