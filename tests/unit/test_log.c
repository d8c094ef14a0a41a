#include "unit.h"

#include "px/log.h"

#include <string.h>
#include <unistd.h>

static int pipe_ends[2];

// Reads what was logged; "" when nothing was.
static const char *logged(void)
{
    static char text[8192];

    (void)close(pipe_ends[1]); // the end for the reader
    ssize_t size = read(pipe_ends[0], text, sizeof(text) - 1);
    ck_assert_int_ge(size, 0);
    text[size] = '\0';
    (void)close(pipe_ends[0]); // opened for reading only
    return text;
}

START_TEST(test_log__is_one_line_with_pairs)
{
    ck_assert_int_eq(pipe(pipe_ends), 0);
    px_log_setup(PX_LOG_INFO, pipe_ends[1]);
    px_log_debug("not this", "n=%d", 1);
    px_log_info("engine registered", "id=%d host=%s", 3, "a\nb");
    const char *line = logged();
    ck_assert_ptr_nonnull(strstr(line, "info    "));
    ck_assert_ptr_nonnull(strstr(line, "engine registered id=3 host=a b\n"));
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    ck_assert_ptr_null(strstr(line, "not this"));
}
END_TEST

START_TEST(test_log__cuts_what_is_too_long)
{
    char longer[4000];

    memset(longer, 'y', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    ck_assert_int_eq(pipe(pipe_ends), 0);
    px_log_setup(PX_LOG_ERROR, pipe_ends[1]);
    px_log_error("long", "value=%s", longer);
    const char *line = logged();
    ck_assert_uint_lt(strlen(line), 2100);
    ck_assert_int_eq(line[strlen(line) - 1], '\n');
}
END_TEST

START_TEST(test_log__gate_opens_once_and_then_every_thousandth)
{
    px_log_gate gate = {0};
    int opened = 0;

    for (int i = 0; i < 2500; i++) {
        opened += px_log_once(&gate);
    }
    ck_assert_int_eq(opened, 3);
}
END_TEST

UNIT_MAIN("log", test_log__is_one_line_with_pairs, test_log__cuts_what_is_too_long,
          test_log__gate_opens_once_and_then_every_thousandth)
