// unit.h: what the C tests share. A test runs in a forked child of its own (Check), with a time
// limit; it fails if it leaves a descriptor open. Under AddressSanitizer leaked memory fails it,
// too.
#ifndef PX_UNIT_H
#define PX_UNIT_H

#include "px/err.h"
#include "px/frames.h"

#include <check.h>

#include <stddef.h>

// ok expects success of a call that gives a px_err, fails_with a certain failure.
#define ok(call) unit_expect((call), PX_OK, #call, __FILE__, __LINE__)
#define fails_with(expected, call) unit_expect((call), (expected), #call, __FILE__, __LINE__)
void unit_expect(px_err err, px_err expected, const char *call, const char *file, int line);

// expect_text compares a slice with text.
#define expect_text(slice, text)                                                                   \
    do {                                                                                           \
        px_slice unit_slice = (slice);                                                             \
        ck_assert_msg(px_slice_equal(unit_slice, px_slice_str(text)), "is \"%.*s\", not \"%s\"",   \
                      (int)unit_slice.size, (const char *)unit_slice.data, (text));                \
    } while (0)

// UNIT_MAIN is the program: it runs the tests named.
#define UNIT_MAIN(name, ...)                                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const unit_tests[] = {__VA_ARGS__};                                           \
        return unit_run(name, unit_tests, sizeof(unit_tests) / sizeof(unit_tests[0]));             \
    }
int unit_run(const char *name, const TTest *const *tests, size_t n_tests);

// unit_folder makes a folder for the test, removed with its files when the test ends well.
const char *unit_folder(void);
// unit_path is the path of a file in it; static storage, eight at a time.
const char *unit_path(const char *name);
// unit_frames appends the texts, up to NULL, as frames.
void unit_frames(px_frames *frames, ...) __attribute__((sentinel));
// unit_pattern fills size bytes with a pattern that depends on seed; unit_is_pattern checks it.
void unit_pattern(uint8_t *data, size_t size, unsigned seed);
bool unit_is_pattern(px_slice slice, unsigned seed);
// unit_wait waits until fd is readable, writable (POLLIN, POLLOUT); fails after ten seconds.
void unit_wait(int fd, short events);

#endif
