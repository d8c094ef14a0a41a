#include "unit.h"

#include <dirent.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64];
static int fds_before;

void unit_expect(px_err err, px_err expected, const char *call, const char *file, int line)
{
    if (err != expected) {
        ck_abort_msg("%s:%d: %s gave \"%s\", not \"%s\"", file, line, call, px_err_text(err),
                     px_err_text(expected));
    }
}

static int count_entries(const char *path)
{
    int n = 0;
    DIR *listing = opendir(path);
    ck_assert_ptr_nonnull(listing);
    while (readdir(listing) != NULL) {
        n++;
    }
    (void)closedir(listing); // opened for reading only
    return n;
}

static void set_up(void)
{
    folder[0] = '\0';
    fds_before = count_entries("/proc/self/fd");
}

static void remove_folder(void)
{
    DIR *listing = opendir(folder);
    const struct dirent *entry;

    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        (void)unlinkat(dirfd(listing), entry->d_name, 0); // the rmdir tells
    }
    if (listing != NULL) {
        (void)closedir(listing); // opened for reading only
    }
    ck_assert_msg(rmdir(folder) == 0, "cannot remove %s", folder);
}

static void tear_down(void)
{
    if (folder[0] != '\0') {
        remove_folder();
    }
    ck_assert_int_eq(count_entries("/proc/self/fd"), fds_before);
}

int unit_run(const char *name, const TTest *const *tests, size_t n_tests)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < n_tests; i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const char *unit_folder(void)
{
    if (folder[0] == '\0') {
        (void)snprintf(folder, sizeof(folder), "/tmp/px-unit-XXXXXX"); // fits
        ck_assert_ptr_nonnull(mkdtemp(folder));
    }
    return folder;
}

const char *unit_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];

    ck_assert_int_lt(snprintf(path, sizeof(paths[0]), "%s/%s", unit_folder(), name),
                     (int)sizeof(paths[0]));
    return path;
}

void unit_frames(px_frames *frames, ...)
{
    va_list args;
    const char *text;

    va_start(args, frames);
    while ((text = va_arg(args, const char *)) != NULL) {
        ok(px_frames_push_copy(frames, px_slice_str(text)));
    }
    va_end(args);
}

static uint8_t pattern_at(size_t i, unsigned seed)
{
    return (uint8_t)(i * 131 + (i >> 8) * 7 + seed * 17);
}

void unit_pattern(uint8_t *data, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = pattern_at(i, seed);
    }
}

bool unit_is_pattern(px_slice slice, unsigned seed)
{
    for (size_t i = 0; i < slice.size; i++) {
        if (slice.data[i] != pattern_at(i, seed)) {
            return false;
        }
    }
    return true;
}

void unit_wait(int fd, short events)
{
    struct pollfd item = {.fd = fd, .events = events};
    ck_assert_int_eq(poll(&item, 1, 10000), 1);
}
