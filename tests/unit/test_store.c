#include "controller/store.h"
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const px_store_limits roomy = {.rows = 1000000, .bytes = 1 << 30, .seconds = 3600};

static px_row row_of(const char *msg_id, uint32_t engine)
{
    return (px_row){.msg_id = px_slice_str(msg_id),
                    .record = PX_SLICE_LITERAL("{\"resubmitted\":null}"),
                    .reply = PX_SLICE_LITERAL("reply"),
                    .engine = engine};
}

static void put(px_store *store, const char *msg_id, uint32_t engine)
{
    const px_row row = row_of(msg_id, engine);
    ok(px_store_begin(store, NULL));
    ok(px_store_put(store, &row));
    ok(px_store_commit(store, NULL));
}

static void copy_record(void *context, const px_row *row)
{
    (void)snprintf(context, 128, "%.*s %.*s", (int)row->record.size, (const char *)row->record.data,
                   (int)row->reply.size, (const char *)row->reply.data);
}

static void count(void *context, const px_row *row)
{
    (void)row;
    ++*(size_t *)context;
}

static size_t rows(px_store *store)
{
    size_t n = 0;
    ok(px_store_each(store, count, &n));
    return n;
}

START_TEST(test_store__makes_no_file_before_the_first_row)
{
    const char *path = unit_path("results.db");
    px_store *store;
    struct stat status;
    ok(px_store_new(path, &roomy, &store, NULL));
    ck_assert_uint_eq(rows(store), 0);
    fails_with(PX_ENOENT, px_store_find(store, "a", count, &(size_t){0}));
    ok(px_store_remove(store, "a"));
    ck_assert_int_ne(access(path, F_OK), 0);
    put(store, "a", 1);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0600);
    px_store_free(store);
}
END_TEST

START_TEST(test_store__keeps_rows_for_who_opens_it_again)
{
    const char *path = unit_path("results.db");
    char text[128] = "";
    px_store *store;
    ok(px_store_new(path, &roomy, &store, NULL));
    put(store, "a", 1);
    put(store, "b", 2);
    put(store, "b", 3); // replaces
    ok(px_store_resubmitted(store, "a", "c"));
    px_store_free(store);
    ok(px_store_new(path, &roomy, &store, NULL));
    ck_assert_uint_eq(rows(store), 2);
    ok(px_store_find(store, "a", copy_record, text));
    ck_assert_str_eq(text, "{\"resubmitted\":\"c\"} reply");
    ok(px_store_remove_engine(store, 3));
    fails_with(PX_ENOENT, px_store_find(store, "b", copy_record, text));
    ok(px_store_clear(store));
    ck_assert_uint_eq(rows(store), 0);
    px_store_free(store);
}
END_TEST

START_TEST(test_store__is_one_controllers)
{
    const char *path = unit_path("results.db");
    px_store *store;
    px_store *other = NULL;
    px_error error = {0};
    ok(px_store_new(path, &roomy, &store, NULL));
    put(store, "a", 1);
    fails_with(PX_EEXIST, px_store_new(path, &roomy, &other, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "another controller"));
    px_store_free(store);
}
END_TEST

START_TEST(test_store__sets_a_damaged_file_aside)
{
    const char *path = unit_path("results.db");
    px_store *store;
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(write(fd, "this is no database, and never was one", 38), 38);
    ck_assert_int_eq(close(fd), 0);
    ok(px_store_new(path, &roomy, &store, NULL));
    put(store, "a", 1);
    ck_assert_uint_eq(rows(store), 1);
    px_store_free(store);
    ck_assert_int_eq(access(unit_path("results.db.damaged"), F_OK), 0);
}
END_TEST

START_TEST(test_store__drops_the_oldest_over_the_limits)
{
    static const px_store_limits tight = {.rows = 500, .bytes = 1 << 30, .seconds = 3600};
    char msg_id[16];
    px_store *store;
    ok(px_store_new(unit_path("results.db"), &tight, &store, NULL));
    ok(px_store_begin(store, NULL));
    for (int i = 0; i < 1200; i++) {
        (void)snprintf(msg_id, sizeof(msg_id), "m%d", i);
        const px_row row = row_of(msg_id, 0);
        ok(px_store_put(store, &row));
    }
    ok(px_store_commit(store, NULL));
    ck_assert_uint_eq(rows(store), 500);
    fails_with(PX_ENOENT, px_store_find(store, "m699", count, &(size_t){0}));
    ok(px_store_find(store, "m700", count, &(size_t){0}));
    px_store_free(store);
}
END_TEST

UNIT_MAIN("store", test_store__makes_no_file_before_the_first_row,
          test_store__keeps_rows_for_who_opens_it_again, test_store__is_one_controllers,
          test_store__sets_a_damaged_file_aside, test_store__drops_the_oldest_over_the_limits)
