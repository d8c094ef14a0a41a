#include "io/flood.h"
#include "io/note.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define T0 PX_NS_PER_S

static px_room room;
static px_spills *spills;
static px_flood flood;
static px_flood_limits limits = {.most = 100, .burst = 60, .rate = 20, .tail = 24};

// in_folder makes a folder of the test's own the current one: files will lie below it.
static void in_folder(const char *notebook)
{
    ck_assert_int_eq(chdir(unit_folder()), 0);
    ck_assert_int_eq(setenv("JPY_SESSION_NAME", notebook, 1), 0);
    ck_assert_int_eq(setenv("TMPDIR", unit_folder(), 1), 0);
    ok(px_room_init(&room));
    ok(px_spills_new(&room, &spills));
}

static void out_of_folder(void)
{
    px_flood_reset(&flood);
    px_spills_free(spills);
    px_room_done(&room);
    ck_assert_int_eq(chdir("/"), 0);
}

static size_t add_at(const char *text, px_ns now)
{
    px_bytes *bytes = NULL;
    ok(px_bytes_copy(px_slice_str(text), &bytes));
    size_t fits = px_flood_add(&flood, &limits, spills, PX_STDOUT, bytes, now);
    px_bytes_unref(bytes);
    return fits;
}

static size_t add(const char *text)
{
    return add_at(text, T0);
}

static const char *tail(void)
{
    static char text[4096];
    size_t n = 0;
    size_t skip = px_flood_tail_start(&flood, &limits);
    for (size_t i = 0; i < flood.n_tail; i++) {
        px_slice whole = px_bytes_slice(flood.tail[i].bytes);
        size_t from = flood.tail[i].from + (i == 0 ? skip : 0);
        memcpy(text + n, whole.data + from, whole.size - from);
        n += whole.size - from;
    }
    text[n] = '\0';
    return text;
}

static px_spill_report report_of(px_spill *spill)
{
    static px_spill_report report;
    px_spill_wait(spill);
    px_spill_look(spill, &report);
    return report;
}

static void expect_file(const char *path, const char *text)
{
    char content[8192] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_ge(read(fd, content, sizeof(content) - 1), 0);
    (void)close(fd);
    ck_assert_str_eq(content, text);
}

static void remove_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)unlinkat(fd, ".gitignore", 0); // only who made the folder wrote one
    (void)close(fd);
    ck_assert_int_eq(rmdir(folder), 0);
}

// remove_file removes a file of output and the folder that it is in.
static void remove_file(const char *path)
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    ck_assert_int_eq(unlink(path), 0);
    remove_folder(folder);
}

START_TEST(test_flood__shows_what_fits)
{
    in_folder("nb.ipynb");
    ck_assert_uint_eq(add("0123456789\n"), 11);
    ck_assert_uint_eq(add("0123456789\n"), 11);
    ck_assert(!flood.over);
    out_of_folder();
}
END_TEST

START_TEST(test_flood__of_little_too_much_is_shown_whole)
{
    in_folder("nb.ipynb");
    ck_assert_uint_eq(add("0123456789012345678901234567890123456789012345678\n"), 50);
    ck_assert_uint_eq(add("one\ntwo\nthree\n"), 8); // up to the end of a line
    ck_assert_uint_eq(add("four\n"), 0);
    ck_assert_ptr_null(flood.spill);
    ck_assert_str_eq(tail(), "three\nfour\n");
    out_of_folder();
}
END_TEST

START_TEST(test_flood__keeps_the_end_and_writes_all)
{
    PX_AUTO_BUF all = {0};
    in_folder("my notes.ipynb");
    for (int i = 100; i < 160; i++) {
        char line[16];
        (void)snprintf(line, sizeof(line), "%d\n", i);
        px_buf_append_str(&all, line);
        (void)add(line);
    }
    ck_assert(flood.over);
    ck_assert_str_eq(tail(), "154\n155\n156\n157\n158\n159\n");
    px_spill_report report = report_of(flood.spill);
    ck_assert_uint_eq(report.written, all.size);
    px_buf_append(&all, "", 1);
    expect_file(report.path, (const char *)all.data);
    ck_assert_ptr_eq(strstr(report.link, "pxkernel-output/my_notes-"), report.link);
    ck_assert_int_eq(access(report.link, R_OK), 0);
    struct stat stat_of;
    ck_assert_int_eq(stat(report.path, &stat_of), 0);
    ck_assert_int_eq(stat_of.st_mode & 0777, 0600);
    ck_assert_int_eq(stat("pxkernel-output", &stat_of), 0);
    ck_assert_int_eq(stat_of.st_mode & 0777, 0700);
    remove_file(report.path);
    out_of_folder();
}
END_TEST

START_TEST(test_flood__lets_slow_text_have_more)
{
    in_folder("nb.ipynb");
    for (unsigned i = 0; i < 9; i++) {
        ck_assert_uint_eq(add_at("0123456789\n", T0 + i * PX_NS_PER_S), 11);
    }
    ck_assert_uint_eq(add_at("0123456789\n", T0 + 100 * PX_NS_PER_S), 0); // most
    out_of_folder();
}
END_TEST

START_TEST(test_flood__counts_what_is_seen_of_a_bar)
{
    in_folder("nb.ipynb");
    for (int i = 0; i < 10000; i++) {
        ck_assert_uint_eq(add("\r  12 %|###      |"), 18);
    }
    ck_assert_uint_le(flood.head.size, 2 * limits.most);
    out_of_folder();
}
END_TEST

START_TEST(test_flood__begins_anew_when_the_page_is_cleared)
{
    in_folder("nb.ipynb");
    (void)add("0123456789012345678901234567890123456789012345678901234567890123456789\n");
    ck_assert(flood.over);
    remove_file(report_of(flood.spill).path);
    px_flood_reset(&flood);
    ck_assert_uint_eq(add("hello\n"), 6);
    out_of_folder();
}
END_TEST

START_TEST(test_flood__cuts_between_characters)
{
    in_folder("nb.ipynb");
    const char text[] = "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4";
    ck_assert_uint_eq(add("x"), 1);
    ck_assert_uint_eq(add(text), 36);
    ck_assert_uint_eq(add(text), 22); // one byte of the 60 stays free
    out_of_folder();
}
END_TEST

START_TEST(test_spill__goes_elsewhere_when_the_folder_is_no_folder)
{
    in_folder("");
    ck_assert_int_eq(symlink("/", "pxkernel-output"), 0);
    px_spill *spill = px_spill_new(spills, PX_SPILL_TEXT);
    px_spill_write_now(spill, PX_SLICE_LITERAL("text"));
    px_spill_report report = report_of(spill);
    expect_file(report.path, "text");
    ck_assert_str_eq(report.link, "");
    ck_assert_ptr_nonnull(strstr(report.path, "/pxkernel-output-"));
    remove_file(report.path);
    ck_assert_int_eq(unlink("pxkernel-output"), 0);
    px_spill_unref(spill);
    out_of_folder();
}
END_TEST

START_TEST(test_spill__that_cannot_be_written_says_what_is_lost)
{
    in_folder("");
    ck_assert_int_eq(symlink("/", "pxkernel-output"), 0);
    ck_assert_int_eq(setenv("TMPDIR", "/nowhere", 1), 0);
    px_spill *spill = px_spill_new(spills, PX_SPILL_TEXT);
    px_spill_write_now(spill, PX_SLICE_LITERAL("text"));
    px_note note = {.session = "s", .number = 1, .last = true, .missing = 4};
    note.file = report_of(spill);
    ck_assert_uint_eq(note.file.lost, 4);
    PX_AUTO_BUF sentence = {0};
    px_note_sentence(&note, &sentence);
    expect_text(px_buf_slice(&sentence),
                "This output is too long to be shown, and 4 bytes that could not be written: "
                "No such file or directory.");
    ck_assert_int_eq(unlink("pxkernel-output"), 0);
    px_spill_unref(spill);
    out_of_folder();
}
END_TEST

static void make_old(const char *name, time_t age)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    const struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    ck_assert_int_eq(futimens(fd, times), 0);
    (void)close(fd);
}

START_TEST(test_spill__takes_old_files_away_and_no_others)
{
    in_folder("");
    ck_assert_int_eq(mkdir("pxkernel-output", 0700), 0);
    make_old("pxkernel-output/a.out.txt", PX_SPILL_AGE + 100);
    make_old("pxkernel-output/b.out.txt", PX_SPILL_AGE - 100);
    make_old("pxkernel-output/thesis.txt", PX_SPILL_AGE + 100);
    px_spill *spill = px_spill_new(spills, PX_SPILL_TEXT);
    px_spill_write_now(spill, PX_SLICE_LITERAL("text"));
    ck_assert_int_ne(access("pxkernel-output/a.out.txt", F_OK), 0);
    ck_assert_int_eq(unlink("pxkernel-output/b.out.txt"), 0);
    ck_assert_int_eq(unlink("pxkernel-output/thesis.txt"), 0);
    remove_file(report_of(spill).path);
    px_spill_unref(spill);
    out_of_folder();
}
END_TEST

START_TEST(test_note__escapes_and_links)
{
    PX_AUTO_BUF out = {0};
    px_note note = {.session = "s",
                    .number = 3,
                    .missing = 2500000,
                    .file = {.path = "/n/pxkernel-output/a.out.txt",
                             .link = "pxkernel-output/a.out.txt",
                             .written = 3000000},
                    .preview = PX_SLICE_LITERAL("a <b>\x1b[0m & c\n")};
    px_note_write(&note, &out);
    px_buf_append(&out, "", 1);
    const char *text = (const char *)out.data;
    ck_assert_ptr_nonnull(strstr(text, "<a href=\\\"pxkernel-output/a.out.txt\\\""));
    ck_assert_ptr_nonnull(strstr(text, "<pre>a &lt;b>[0m &amp; c\\n</pre>"));
    ck_assert_ptr_nonnull(strstr(text, "(so far 3.0 MB)"));
    ck_assert_ptr_nonnull(strstr(text, "\"display_id\":\"px-output-s-3\""));
    ck_assert_ptr_null(strstr(text, "download"));
    px_buf_clear(&out);
    note.last = true;
    note.file.written = 300000000;
    px_note_write(&note, &out);
    px_buf_append(&out, "", 1);
    text = (const char *)out.data;
    ck_assert_ptr_nonnull(strstr(text, "2.5 MB of output are not shown here; all of it is in"));
    ck_assert_ptr_nonnull(strstr(text, "\\\" download>"));
}
END_TEST

START_TEST(test_room__wakes_who_waits)
{
    ok(px_room_init(&room));
    atomic_store(&room.queued, PX_ROOM_FULL + 1);
    ck_assert(px_room_is_full(&room));
    ck_assert(!px_room_wait(&room)); // looks again by itself
    atomic_store(&room.queued, 0);
    ck_assert(px_room_wait(&room));
    px_room_done(&room);
}
END_TEST

UNIT_MAIN("kernel_flood", test_flood__shows_what_fits,
          test_flood__of_little_too_much_is_shown_whole, test_flood__keeps_the_end_and_writes_all,
          test_flood__lets_slow_text_have_more, test_flood__counts_what_is_seen_of_a_bar,
          test_flood__begins_anew_when_the_page_is_cleared, test_flood__cuts_between_characters,
          test_spill__goes_elsewhere_when_the_folder_is_no_folder,
          test_spill__that_cannot_be_written_says_what_is_lost,
          test_spill__takes_old_files_away_and_no_others, test_note__escapes_and_links,
          test_room__wakes_who_waits)
