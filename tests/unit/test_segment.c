#include "unit.h"

#include "px/segment.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (((size_t)3 << 20) + 17)

static px_segment_ref make(int *fd)
{
    static uint8_t data[SIZE];
    px_segment_ref ref;
    px_error error = {0};

    unit_pattern(data, SIZE, 1);
    px_err err = px_segment_create(px_slice_of(data, SIZE), fd, &ref, &error);
    ck_assert_msg(err == PX_OK, "%s", error.text);
    unit_pattern(data, SIZE, 2); // the sender may change its array at once
    return ref;
}

START_TEST(test_segment__is_mapped_private_and_writable)
{
    int fd;
    px_segment_ref ref = make(&fd);
    px_bytes *one;
    px_bytes *two;

    ok(px_segment_map(&ref, &one, NULL));
    ok(px_segment_map(&ref, &two, NULL));
    ck_assert(unit_is_pattern(px_bytes_slice(one), 1));
    memset((void *)(uintptr_t)px_bytes_slice(one).data, 0, SIZE);
    ck_assert(unit_is_pattern(px_bytes_slice(two), 1));
    (void)close(fd); // mapped: nobody needs it any more
    ck_assert(unit_is_pattern(px_bytes_slice(two), 1));
    px_bytes_unref(one);
    px_bytes_unref(two);
}
END_TEST

START_TEST(test_segment__is_sealed)
{
    int fd;
    px_segment_ref ref = make(&fd);

    ck_assert_uint_eq(ref.size, SIZE);
    ck_assert_int_eq(ftruncate(fd, 10), -1);
    ck_assert_int_eq(ftruncate(fd, 2 * SIZE), -1);
    ck_assert_int_eq((int)pwrite(fd, "x", 1, 0), -1);
    ck_assert_ptr_eq(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    (void)close(fd); // the end of the test
}
END_TEST

START_TEST(test_segment__another_process_maps_it)
{
    int fd;
    int status = 0;
    px_segment_ref ref = make(&fd);

    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        px_bytes *bytes = NULL;
        (void)close(fd); // it must come through /proc
        px_err err = px_segment_map(&ref, &bytes, NULL);
        _exit(err == PX_OK && unit_is_pattern(px_bytes_slice(bytes), 1) ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    (void)close(fd); // the end of the test
}
END_TEST

START_TEST(test_segment__what_is_not_it_is_refused)
{
    int fd;
    px_segment_ref ref = make(&fd);
    px_segment_ref wrong;
    px_bytes *bytes = NULL;
    px_error error;
    int other = memfd_create("px-unit", MFD_CLOEXEC);

    wrong = ref;
    wrong.inode++;
    fails_with(PX_EFORMAT, px_segment_map(&wrong, &bytes, &error));
    wrong = ref;
    wrong.size--;
    fails_with(PX_EFORMAT, px_segment_map(&wrong, &bytes, &error));
    wrong = ref;
    wrong.nonce++;
    fails_with(PX_ENOENT, px_segment_map(&wrong, &bytes, &error));
    wrong = ref;
    wrong.fd = (uint32_t)other; // not sealed
    fails_with(PX_EFORMAT, px_segment_map(&wrong, &bytes, &error));
    wrong.fd = 9999;
    fails_with(PX_ENOENT, px_segment_map(&wrong, &bytes, &error));
    wrong = ref;
    wrong.pid = 1 << 22; // beyond the greatest process id
    fails_with(PX_ENOENT, px_segment_map(&wrong, &bytes, &error));
    (void)close(other); // the end of the test
    (void)close(fd);    // the end of the test
}
END_TEST

START_TEST(test_segment__wire_form_is_fixed)
{
    const px_segment_ref ref = {
        .pid = 0x01020304, .fd = 5, .size = 0x1122334455667788, .inode = 9, .nonce = UINT64_MAX};
    static const uint8_t expected[PX_SEGMENT_REF_SIZE] = {
        4, 3, 2, 1, 5, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
        9, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t wire[PX_SEGMENT_REF_SIZE];
    px_segment_ref again;

    px_segment_encode(&ref, wire);
    ck_assert_mem_eq(wire, expected, sizeof(wire));
    ok(px_segment_decode(px_slice_of(wire, sizeof(wire)), &again));
    ck_assert_mem_eq(&again, &ref, sizeof(ref));
    fails_with(PX_EFORMAT, px_segment_decode(px_slice_of(wire, 31), &again));
    memset(wire, 0, sizeof(wire));
    fails_with(PX_EFORMAT, px_segment_decode(px_slice_of(wire, sizeof(wire)), &again));
}
END_TEST

START_TEST(test_segment__empty_is_refused)
{
    int fd;
    px_segment_ref ref;

    fails_with(PX_EINVAL, px_segment_create(px_slice_of(NULL, 0), &fd, &ref, NULL));
}
END_TEST

START_TEST(test_segment__that_is_filled_again_shows_the_new_bytes_to_the_next)
{
    uint8_t *data = malloc(SIZE);
    px_segment *segment = NULL;
    px_segment_ref ref;
    px_bytes *mapped = NULL;
    ck_assert_ptr_nonnull(data);
    unit_pattern(data, SIZE, 1);
    ok(px_segment_new(px_slice_of(data, SIZE), &segment, &ref, NULL));
    ok(px_segment_map(&ref, &mapped, NULL));
    ck_assert(unit_is_pattern(px_bytes_slice(mapped), 1));
    memset((void *)(uintptr_t)px_bytes_slice(mapped).data, 0, 10); // private: nobody else sees it
    px_bytes_unref(mapped);
    unit_pattern(data, SIZE / 2, 2);
    ok(px_segment_refill(segment, px_slice_of(data, SIZE / 2), &ref));
    ok(px_segment_map(&ref, &mapped, NULL));
    ck_assert_uint_eq(px_bytes_slice(mapped).size, SIZE / 2);
    ck_assert(unit_is_pattern(px_bytes_slice(mapped), 2));
    px_bytes_unref(mapped);
    fails_with(PX_ETOOBIG, px_segment_refill(segment, px_slice_of(data, SIZE + 1), &ref));
    px_segment_free(segment);
    free(data);
}
END_TEST

START_TEST(test_segment__that_is_filled_again_cannot_be_written_by_its_receiver)
{
    const uint8_t bytes[] = "mine";
    px_segment *segment = NULL;
    px_segment_ref ref;
    char path[64];
    ok(px_segment_new(px_slice_of(bytes, sizeof bytes), &segment, &ref, NULL));
    (void)snprintf(path, sizeof path, "/proc/%u/fd/%u", ref.pid, ref.fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_lt(write(fd, "x", 1), 0);
    ck_assert_ptr_eq(mmap(NULL, sizeof bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
                     MAP_FAILED);
    ck_assert_int_ne(ftruncate(fd, 0), 0);
    (void)close(fd);
    px_segment_free(segment);
}
END_TEST

UNIT_MAIN("segment", test_segment__is_mapped_private_and_writable, test_segment__is_sealed,
          test_segment__another_process_maps_it, test_segment__what_is_not_it_is_refused,
          test_segment__wire_form_is_fixed, test_segment__empty_is_refused,
          test_segment__that_is_filled_again_shows_the_new_bytes_to_the_next,
          test_segment__that_is_filled_again_cannot_be_written_by_its_receiver)
