#include "io/visible.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t size_of(const char *text)
{
    px_visible visible = {0};
    px_visible_add(&visible, px_slice_str(text));
    return px_visible_size(&visible);
}

START_TEST(test_visible__counts_plain_text)
{
    ck_assert_uint_eq(size_of(""), 0);
    ck_assert_uint_eq(size_of("abc"), 3);
    ck_assert_uint_eq(size_of("abc\nde\n"), 7);
    ck_assert_uint_eq(size_of("abc\r\nde\r\n"), 7);
}
END_TEST

START_TEST(test_visible__does_not_count_what_is_written_over)
{
    ck_assert_uint_eq(size_of("\r 1%\r 2%\r100%"), 4);
    ck_assert_uint_eq(size_of("long line\rab\rc"), 9);
    ck_assert_uint_eq(size_of("a\rb\nc\rd"), 3);
}
END_TEST

START_TEST(test_visible__is_the_same_in_pieces)
{
    const char *text = "one\n\r  1 %\r  20 %\rdone\nbar\n\rbar2\x1b[A\r 5\nbar\n\rbar2\x1b[Aend";
    px_visible visible = {0};
    for (size_t i = 0; i < strlen(text);) {
        size_t step = memcmp(text + i, "\x1b[A", 3) == 0 ? 3 : 1;
        step = text[i] == '\r' ? 2 : step;
        px_visible_add(&visible, px_slice_of(text + i, step));
        i += step;
    }
    ck_assert_uint_eq(px_visible_size(&visible), size_of(text));
}
END_TEST

START_TEST(test_visible__of_bars_below_each_other_does_not_grow)
{
    px_visible visible = {0};
    for (int i = 0; i < 10000; i++) {
        px_visible_add(&visible, px_slice_str("\r outer: 12%|##   |\n\r inner: 50%|###\x1b[A"));
        px_visible_add(&visible, px_slice_str("\n\n\r third: 50%|###\x1b[A\x1b[A"));
    }
    ck_assert_uint_lt(px_visible_size(&visible), 200);
}
END_TEST

START_TEST(test_overwrites__knows_bars_from_lines)
{
    ck_assert(px_overwrites(px_slice_str("a\rb")));
    ck_assert(!px_overwrites(px_slice_str("a\r\nb\r\n")));
    ck_assert(!px_overwrites(px_slice_str("a\nb")));
    ck_assert(!px_overwrites(px_slice_str("a\r")));
    ck_assert(!px_overwrites(px_slice_str("a\rb\x1b[A")));
}
END_TEST

static const char *shorter(const char *text)
{
    static char kept[256];
    PX_AUTO_BUF out = {0};
    px_overwrite(px_slice_str(text), &out);
    ck_assert_uint_lt(out.size, sizeof(kept));
    (void)snprintf(kept, sizeof(kept), "%.*s", (int)out.size, (const char *)out.data);
    return kept;
}

START_TEST(test_overwrite__leaves_out_what_is_covered)
{
    ck_assert_str_eq(shorter("plain\ntext"), "plain\ntext");
    ck_assert_str_eq(shorter("x\n 1\r 2\r 3"), "x\n\r 3");
    ck_assert_str_eq(shorter("x\na\r\nb\r\n"), "x\na\r\nb\r\n");
    ck_assert_str_eq(shorter("\n\x1b[31mred\x1b[0m\rblue"), "\n\rblue");
    ck_assert_str_eq(shorter("\nfour\r\xc3\xa4\xc3\xb6"), "\nfour\r\xc3\xa4\xc3\xb6");
    ck_assert_str_eq(shorter("\nlonger\r\x1b[Ka"), "\n\r\x1b[Ka");
    ck_assert_str_eq(shorter("\n\r\x1b[Kab\rcd"), "\n\r\x1b[Kab\rcd");
}
END_TEST

START_TEST(test_overwrite__keeps_a_beginning_that_may_stand_anywhere)
{
    ck_assert_str_eq(shorter("abc\rdef\rghi"), "abc\rghi");
}
END_TEST

// screen shows one line as a terminal does: characters without colours.
static void screen(const char *text, char line[64])
{
    size_t at = 0;
    memset(line, 0, 64);
    for (; *text != '\0'; text++) {
        if (*text == '\r') {
            at = 0;
        } else if (at < 63) {
            line[at++] = *text;
        }
    }
}

// random_of is the same sequence each time.
static uint32_t random_of(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 16;
}

START_TEST(test_overwrite__looks_the_same)
{
    uint32_t state = 7;
    for (int n = 0; n < 20000; n++) {
        char text[48];
        size_t length = random_of(&state) % 40;
        for (size_t i = 0; i < length; i++) {
            text[i] = "\rabcdefghijklmno"[random_of(&state) % 4 * (random_of(&state) % 6)];
        }
        text[length] = '\0';
        char before[128];
        char after[128];
        char seen[64];
        char wanted[64];
        (void)snprintf(before, sizeof(before), "xxxxx%s", text);
        (void)snprintf(after, sizeof(after), "xxxxx%s", shorter(text));
        screen(before, wanted);
        screen(after, seen);
        ck_assert_str_eq(seen, wanted);
    }
}
END_TEST

UNIT_MAIN("kernel_visible", test_visible__counts_plain_text,
          test_visible__does_not_count_what_is_written_over, test_visible__is_the_same_in_pieces,
          test_visible__of_bars_below_each_other_does_not_grow,
          test_overwrites__knows_bars_from_lines, test_overwrite__leaves_out_what_is_covered,
          test_overwrite__keeps_a_beginning_that_may_stand_anywhere, test_overwrite__looks_the_same)
