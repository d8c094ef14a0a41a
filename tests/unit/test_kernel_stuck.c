#include "io/stuck.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define HEAD "Current thread 0x00007f0c2a3b5740 (most recent call first):\n"

static void expect(const char *text, const char *place)
{
    PX_AUTO_BUF out = {0};
    ck_assert_int_eq(px_stuck_place(px_slice_str(text), &out), place != NULL);
    if (place != NULL) {
        expect_text(px_buf_slice(&out), place);
    }
}

START_TEST(test_stuck__names_the_innermost_frame)
{
    expect(HEAD "  File \"/a/b c.py\", line 17 in f\n  File \"/x.py\", line 2 in g\n",
           "at /a/b c.py, line 17, in f");
    expect(HEAD "  File \"/a/b.py\", line 1 in <module>\n", "at /a/b.py, line 1");
}
END_TEST

START_TEST(test_stuck__knows_cells)
{
    expect(HEAD "  File \"/tmp/ipykernel_12/3456.py\", line 3 in <module>\n",
           "at line 3 of the cell");
    expect(HEAD "  File \"/tmp/ipykernel_12/3456.py\", line 3 in work\n",
           "at line 3 of a cell, in work");
}
END_TEST

START_TEST(test_stuck__waits_for_the_whole_line)
{
    const char *whole = HEAD "  File \"/a/b.py\", line 17 in f\n";
    for (size_t n = 0; n < strlen(whole); n++) {
        char *cut = malloc(n + 1); // of exactly this size, for the sanitizer
        ck_assert_ptr_nonnull(cut);
        memcpy(cut, whole, n);
        cut[n] = '\0';
        expect(cut, NULL);
        free(cut);
    }
    expect(HEAD "  <no Python frame>\n", NULL);
    expect("", NULL);
}
END_TEST

UNIT_MAIN("kernel_stuck", test_stuck__names_the_innermost_frame, test_stuck__knows_cells,
          test_stuck__waits_for_the_whole_line)
