#include "io/known.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static const char names[] = "os\nopen\nprint\nspam\nsp\xc3\xa4m\n";

static void expect(const char *content, const char *wanted)
{
    PX_AUTO_BUF out = {0};
    px_known_complete(px_slice_str(names), px_slice_str(content), &out);
    ok(px_buf_status(&out));
    expect_text(px_buf_slice(&out), wanted);
}

#define ANSWER(matches, start, end)                                                                \
    "{\"status\":\"ok\",\"matches\":" matches ",\"cursor_start\":" start ",\"cursor_end\":" end    \
    ",\"metadata\":{}}"

START_TEST(test_known__completes_the_word_under_the_cursor)
{
    expect("{\"code\":\"o\",\"cursor_pos\":1}", ANSWER("[\"os\",\"open\"]", "0", "1"));
    expect("{\"code\":\"x = (pr\",\"cursor_pos\":7}", ANSWER("[\"print\"]", "5", "7"));
    expect("{\"code\":\"print\",\"cursor_pos\":2}", ANSWER("[\"print\"]", "0", "2"));
    expect("{\"code\":\"zzz\",\"cursor_pos\":3}", ANSWER("[]", "0", "3"));
    expect("{\"code\":\"o\"}", ANSWER("[\"os\",\"open\"]", "0", "1"));
}
END_TEST

START_TEST(test_known__counts_characters_not_bytes)
{
    expect("{\"code\":\"'\xf0\x9f\x92\xa9'+sp\xc3\xa4\",\"cursor_pos\":7}",
           ANSWER("[\"sp\xc3\xa4m\"]", "4", "7"));
}
END_TEST

START_TEST(test_known__says_nothing_about_attributes)
{
    expect("{\"code\":\"os.pa\",\"cursor_pos\":5}", ANSWER("[]", "5", "5"));
    expect("{\"code\":\"os.\",\"cursor_pos\":3}", ANSWER("[]", "3", "3"));
}
END_TEST

START_TEST(test_known__takes_any_content)
{
    expect("", ANSWER("[]", "0", "0"));
    expect("[1]", ANSWER("[]", "0", "0"));
    expect("{\"code\":5}", ANSWER("[]", "0", "0"));
    expect("{\"code\":\"o\",\"cursor_pos\":-5}", ANSWER("[\"os\",\"open\"]", "0", "1"));
    expect("{\"code\":\"o\",\"cursor_pos\":99}", ANSWER("[\"os\",\"open\"]", "0", "1"));
    expect("{\"code\":\"\",\"cursor_pos\":0}", ANSWER("[]", "0", "0"));
}
END_TEST

UNIT_MAIN("kernel_known", test_known__completes_the_word_under_the_cursor,
          test_known__counts_characters_not_bytes, test_known__says_nothing_about_attributes,
          test_known__takes_any_content)
