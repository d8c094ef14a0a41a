#include "unit.h"

#include "px/cluster.h"
#include "px/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(test_cluster__route_has_a_fixed_form)
{
    const uint32_t engines[] = {1, 0x01020304};
    const px_route route = {
        .kind = PX_ROUTE_REQUEST, .flags = 2, .client = 7, .task = 0x1122334455667788, .n = 2};
    static const uint8_t expected[] = {1,    1,    2,    0,    7,    0, 0, 0, 0x88, 0x77, 0x66,
                                       0x55, 0x44, 0x33, 0x22, 0x11, 2, 0, 0, 0,    0,    0,
                                       0,    0,    1,    0,    0,    0, 4, 3, 2,    1};
    px_bytes *frame;
    px_route again;

    ok(px_route_encode(&route, engines, &frame));
    ck_assert_uint_eq(px_bytes_slice(frame).size, sizeof(expected));
    ck_assert_mem_eq(px_bytes_slice(frame).data, expected, sizeof(expected));
    ok(px_route_decode(px_bytes_slice(frame), &again));
    ck_assert_uint_eq(again.kind, PX_ROUTE_REQUEST);
    ck_assert_uint_eq(again.flags, 2);
    ck_assert_uint_eq(again.client, 7);
    ck_assert_uint_eq(again.task, 0x1122334455667788);
    ck_assert_uint_eq(again.n, 2);
    ck_assert_uint_eq(px_route_engine(&again, 0), 1);
    ck_assert_uint_eq(px_route_engine(&again, 1), 0x01020304);
    px_bytes_unref(frame);
}
END_TEST

START_TEST(test_cluster__route_lengths_are_checked)
{
    const uint32_t engines[] = {1, 2};
    const px_route route = {.kind = PX_ROUTE_REPLY, .n = 2};
    px_bytes *frame;
    px_route again;
    uint8_t wire[64] = {0};

    ok(px_route_encode(&route, engines, &frame));
    px_slice good = px_bytes_slice(frame);
    memcpy(wire, good.data, good.size);
    px_bytes_unref(frame);
    for (size_t size = 0; size < sizeof(wire); size++) {
        px_err err = px_route_decode(px_slice_of(wire, size), &again);
        ck_assert_int_eq(err, size == 32 ? PX_OK : PX_EFORMAT);
    }
    static const struct {
        size_t at;
        uint8_t value;
    } faults[] = {{0, 2}, {1, 0}, {1, 10}, {16, 3}, {17, 1}, {19, 0x40}, {20, 1}};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        uint8_t before = wire[faults[i].at];
        wire[faults[i].at] = faults[i].value;
        fails_with(PX_EFORMAT, px_route_decode(px_slice_of(wire, 32), &again));
        wire[faults[i].at] = before;
    }
    const px_route many = {.kind = PX_ROUTE_REQUEST, .n = PX_ROUTE_MAX_ENGINES + 1};
    fails_with(PX_ETOOBIG, px_route_encode(&many, engines, &frame));
}
END_TEST

START_TEST(test_cluster__names)
{
    char longest[66];

    memset(longest, 'a', 65);
    longest[65] = '\0';
    ck_assert(px_cluster_name_valid("default"));
    ck_assert(px_cluster_name_valid("my-Cluster_1.2"));
    ck_assert(!px_cluster_name_valid(longest));
    ck_assert(px_cluster_name_valid(longest + 1));
    static const char *const bad[] = {"", ".", "..", ".hidden", "a/b", "a b", "é", "a\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert(!px_cluster_name_valid(bad[i]));
    }
}
END_TEST

static void use_root(const char *path)
{
    ck_assert_int_eq(setenv("PX_RUNTIME_DIR", path, 1), 0);
}

START_TEST(test_cluster__root_must_be_private)
{
    char path[PATH_MAX];
    px_error error;
    struct stat status;

    (void)umask(0);
    use_root(unit_path("root"));
    ok(px_cluster_root(path, NULL));
    ck_assert_str_eq(path, unit_path("root"));
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0700);
    ok(px_cluster_root(path, NULL));
    ck_assert_int_eq(chmod(path, 0750), 0);
    fails_with(PX_EPERM, px_cluster_root(path, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "chmod 700"));
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(symlink("/tmp", path), 0);
    fails_with(PX_EPERM, px_cluster_root(path, &error));
    use_root("relative");
    fails_with(PX_EINVAL, px_cluster_root(path, &error));
}
END_TEST

static px_cluster_file sample(void)
{
    return (px_cluster_file){.id = "default",
                             .pid = 4711,
                             .host = "here",
                             .boot_id = "b",
                             .started = "2026-01-31T12:34:56.789012Z",
                             .n = 4,
                             .launcher = "local",
                             .key = "00ff",
                             .signature_scheme = "hmac-sha256",
                             .control = "/run/control.sock",
                             .work = "/run/work.sock",
                             .cwd = "/home/é \"x\"",
                             .python = "/usr/bin/python3"};
}

START_TEST(test_cluster__file_is_written_and_read)
{
    px_cluster_file file = sample();
    px_cluster_file again;
    px_error error;
    char folder[PATH_MAX];
    int lock;

    use_root(unit_path("root"));
    fails_with(PX_ENOENT, px_cluster_file_read("default", &again, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "pxcluster start"));
    ok(px_cluster_folder("default", folder, NULL));
    ok(px_cluster_lock(folder, &lock, NULL));
    ok(px_cluster_file_write(&file, &error));
    ok(px_cluster_file_read("default", &again, &error));
    ck_assert_str_eq(again.cwd, file.cwd);
    ck_assert_str_eq(again.key, "00ff");
    ck_assert_int_eq(again.pid, 4711);
    ck_assert_uint_eq(again.n, 4);
    ck_assert_int_eq(again.attached_to, 0);
    file.attached_to = 99;
    ok(px_cluster_file_write(&file, &error));
    ok(px_cluster_file_read("default", &again, &error));
    ck_assert_int_eq(again.attached_to, 99);
    (void)close(lock); // lets go of the folder
    ck_assert(px_cluster_sweep(folder));
    ck_assert_int_eq(rmdir(unit_path("root")), 0);
}
END_TEST

START_TEST(test_cluster__file_is_checked)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"version\":2}",
        "{\"version\":1,\"id\":\"a\",\"pid\":1,\"control\":\"/c\",\"work\":\"/w\"}",
        "{\"version\":2,\"id\":\"a/b\",\"pid\":1,\"control\":\"/c\",\"work\":\"/w\"}",
        "{\"version\":2,\"id\":\"a\",\"pid\":0,\"control\":\"/c\",\"work\":\"/w\"}",
        "{\"version\":2,\"id\":\"a\",\"pid\":1,\"control\":\"c\",\"work\":\"/w\"}",
        "{\"version\":2,\"id\":\"a\",\"pid\":1,\"control\":\"/c\"}",
        "{\"version\":2,\"id\":\"a\",\"pid\":1,\"control\":\"/c\",\"work\":\"/w\",\"n\":-1}",
        "{\"version\":2,\"id\":\"a\",\"pid\":1,\"control\":\"/c\",\"work\":\"/w\",\"key\":1}",
    };
    px_cluster_file file;
    px_error error;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        px_err err = px_cluster_file_parse(px_slice_str(bad[i]), "cluster.json", &file, &error);
        ck_assert_msg(err != PX_OK, "%s was taken", bad[i]);
        ck_assert_ptr_nonnull(strstr(error.text, "cluster.json"));
    }
    ok(px_cluster_file_parse(
        px_slice_str("{\"version\":2,\"id\":\"a\",\"pid\":1,\"control\":\"/c\",\"work\":\"/w\"}"),
        "cluster.json", &file, &error));
    ck_assert_str_eq(file.signature_scheme, "hmac-sha256");
}
END_TEST

START_TEST(test_cluster__lock_tells_who_lives)
{
    char folder[PATH_MAX];
    px_error error;
    int lock;
    int other;

    use_root(unit_path("root"));
    ok(px_cluster_folder("one", folder, NULL));
    ck_assert(!px_cluster_alive(folder));
    ck_assert(!px_cluster_sweep(folder)); // there is nothing
    ok(px_cluster_lock(folder, &lock, NULL));
    ck_assert(px_cluster_alive(folder));
    ck_assert(!px_cluster_sweep(folder));
    fails_with(PX_EEXIST, px_cluster_lock(folder, &other, &error));
    (void)close(lock); // lets go of the folder
    ck_assert(!px_cluster_alive(folder));
    ck_assert(px_cluster_sweep(folder));
    ck_assert_int_eq(access(folder, F_OK), -1);
    ck_assert_int_eq(rmdir(unit_path("root")), 0);
}
END_TEST

// Children take the lock, hold the folder, and are swept by each other: at no time do two hold it.
static void fight(const char *folder, const char *flag)
{
    for (int i = 0; i < 100; i++) {
        int lock;
        if (px_cluster_lock(folder, &lock, NULL) == PX_OK) {
            if (mkdir(flag, 0700) != 0 || rmdir(flag) != 0) {
                _exit(1); // somebody else is in here
            }
            (void)close(lock); // lets go of the folder
        }
        (void)px_cluster_alive(folder);
        (void)px_cluster_sweep(folder); // whoever is first
    }
    _exit(0);
}

START_TEST(test_cluster__start_and_sweep_do_not_cross)
{
    enum { N = 4 };
    char folder[PATH_MAX];
    char flag[PATH_MAX];
    pid_t children[N];

    use_root(unit_path("root"));
    ok(px_cluster_folder("one", folder, NULL));
    (void)snprintf(flag, sizeof(flag), "%s", unit_path("flag")); // fits
    for (int i = 0; i < N; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            fight(folder, flag);
        }
    }
    for (int i = 0; i < N; i++) {
        int status = -1;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    (void)px_cluster_sweep(folder); // if the last one did not
    ck_assert_int_eq(rmdir(unit_path("root")), 0);
}
END_TEST

UNIT_MAIN("cluster", test_cluster__route_has_a_fixed_form, test_cluster__route_lengths_are_checked,
          test_cluster__names, test_cluster__root_must_be_private,
          test_cluster__file_is_written_and_read, test_cluster__file_is_checked,
          test_cluster__lock_tells_who_lives, test_cluster__start_and_sweep_do_not_cross)
