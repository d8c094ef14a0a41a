// stream: what is put arrives once and in order, wherever connections are cut.
#include "unit.h"

#include "px/stream.h"

#include <stdlib.h>
#include <string.h>

static const px_stream_limits limits = {
    .window = 1 << 18, .beat = PX_NS_PER_S, .lease = 10 * PX_NS_PER_S};

static px_stream *new_stream(void)
{
    px_stream *stream = NULL;
    ok(px_stream_new(&limits, 1, &stream));
    return stream;
}

// carry moves up to size bytes from one to the other.
static size_t carry(px_stream *from, px_stream *to, px_ns now, size_t size)
{
    uint8_t wire[4096];
    size_t n = px_stream_output(from, now, wire, size < sizeof(wire) ? size : sizeof(wire));
    ok(px_stream_input(to, now, px_slice_of(wire, n)));
    return n;
}

static void carry_all(px_stream *a, px_stream *b, px_ns now)
{
    while (carry(a, b, now, 4096) + carry(b, a, now, 4096) > 0) {
    }
}

static void connect_both(px_stream *a, px_stream *b, px_ns now)
{
    uint64_t a_has = px_stream_received(a), b_has = px_stream_received(b);
    ok(px_stream_attach(a, now, b_has));
    ok(px_stream_attach(b, now, a_has));
}

START_TEST(what_is_put_arrives)
{
    px_stream *a = new_stream(), *b = new_stream();
    connect_both(a, b, 1);
    ok(px_stream_put(a, PX_SLICE_LITERAL("one ")));
    ok(px_stream_put(a, PX_SLICE_LITERAL("two")));
    ok(px_stream_end(a));
    fails_with(PX_EINVAL, px_stream_put(a, PX_SLICE_LITERAL("three")));
    carry_all(a, b, 2);
    expect_text(px_stream_arrived(b), "one two");
    px_stream_take(b, 4);
    expect_text(px_stream_arrived(b), "two");
    ck_assert(px_stream_ended(b));
    ck_assert(px_stream_settled(a));
    px_stream_free(a);
    px_stream_free(b);
}
END_TEST

START_TEST(a_torn_frame_comes_again)
{
    px_stream *a = new_stream(), *b = new_stream();
    connect_both(a, b, 1);
    ok(px_stream_put(a, PX_SLICE_LITERAL("whole")));
    ok(px_stream_put(a, PX_SLICE_LITERAL("torn apart")));
    (void)carry(a, b, 1, PX_STREAM_LEAD + 5 + PX_STREAM_LEAD + 4);
    expect_text(px_stream_arrived(b), "whole");
    px_stream_detach(a);
    px_stream_detach(b);
    ck_assert_uint_eq(px_stream_received(b), 1);
    connect_both(a, b, 2);
    carry_all(a, b, 2);
    expect_text(px_stream_arrived(b), "wholetorn apart");
    px_stream_free(a);
    px_stream_free(b);
}
END_TEST

START_TEST(the_window_is_bounded_and_opens_again)
{
    static uint8_t piece[PX_STREAM_FRAME];
    px_stream *a = new_stream(), *b = new_stream();
    connect_both(a, b, 1);
    while (px_stream_room(a) > 0) {
        ok(px_stream_put(a, px_slice_of(piece, sizeof(piece))));
        carry_all(a, b, 1); // the peer says what it has every so often
        px_stream_take(b, px_stream_arrived(b).size);
        if (px_stream_received(b) > 100) {
            break;
        }
    }
    ck_assert_uint_gt(px_stream_received(b), 100);
    px_stream_detach(b);
    while (px_stream_room(a) > 0) {
        ok(px_stream_put(a, px_slice_of(piece, sizeof(piece))));
    }
    ck_assert(px_stream_check(a));
    px_stream_free(a);
    px_stream_free(b);
}
END_TEST

START_TEST(silence_and_lease)
{
    px_stream *a = new_stream(), *b = new_stream();
    connect_both(a, b, 1);
    ck_assert_uint_eq(px_stream_due(a), 1 + limits.beat);
    ck_assert_int_eq(px_stream_tick(a, 1 + limits.beat), PX_STREAM_WELL);
    ck_assert_uint_gt(carry(a, b, 1 + limits.beat, 4096), 0); // a beat, unasked
    ck_assert_int_eq(px_stream_tick(a, 1 + 2 * limits.beat), PX_STREAM_SILENT);
    ck_assert_int_eq(px_stream_tick(b, 1 + 2 * limits.beat), PX_STREAM_WELL); // it heard a
    px_stream_not_read(a, 1 + 2 * limits.beat);
    ck_assert_int_eq(px_stream_tick(a, 1 + 3 * limits.beat), PX_STREAM_WELL);
    px_stream_detach(a);
    ck_assert_uint_eq(px_stream_due(a), 1 + 2 * limits.beat + limits.lease);
    ck_assert_int_eq(px_stream_tick(a, limits.lease), PX_STREAM_WELL);
    ck_assert_int_eq(px_stream_tick(a, 1 + 2 * limits.beat + limits.lease), PX_STREAM_EXPIRED);
    px_stream_free(a);
    px_stream_free(b);
}
END_TEST

START_TEST(what_has_arrived_is_told_with_the_beat)
{
    px_stream *a = new_stream(), *b = new_stream();
    connect_both(a, b, 1);
    ok(px_stream_put(a, PX_SLICE_LITERAL("x")));
    size_t room = px_stream_room(a);
    carry_all(a, b, 1);
    ck_assert_uint_eq(px_stream_room(a), room); // not worth a packet of its own
    ck_assert_int_eq(px_stream_tick(b, 1 + limits.beat), PX_STREAM_WELL);
    carry_all(a, b, 1 + limits.beat);
    ck_assert_uint_eq(px_stream_room(a), limits.window);
    px_stream_free(a);
    px_stream_free(b);
}
END_TEST

static void refuses(px_slice bytes)
{
    px_stream *a = new_stream();
    ok(px_stream_attach(a, 1, 0));
    fails_with(PX_EFORMAT, px_stream_input(a, 1, bytes));
    px_stream_free(a);
}

START_TEST(what_breaks_the_rules_is_refused)
{
    refuses(PX_SLICE_LITERAL("\1\0\0\0\0\0\0\0"));                  // DATA of no bytes
    refuses(PX_SLICE_LITERAL("\1\0\0\0\1\0\1\0"));                  // more than a frame holds
    refuses(PX_SLICE_LITERAL("\1\0\0\0\0\0\0\x80"));                // much more
    refuses(PX_SLICE_LITERAL("\2\0\0\0\1\0\0\0"));                  // END with content
    refuses(PX_SLICE_LITERAL("\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"));  // two ends
    refuses(PX_SLICE_LITERAL("\3\0\0\0\x8\0\0\0\1\0\0\0\0\0\0\0")); // has what was never sent
    refuses(PX_SLICE_LITERAL("\3\0\0\0\4\0\0\0"));                  // HAVE of another size
    refuses(PX_SLICE_LITERAL("\5\0\0\0\0\0\0\0"));                  // no such kind
    refuses(PX_SLICE_LITERAL("\1\1\0\0\1\0\0\0"));                  // nor this
    px_stream *a = new_stream();
    fails_with(PX_EFORMAT, px_stream_attach(a, 1, 1));
    px_stream_free(a);
}
END_TEST

// A storm: two streams, connections cut at any byte, lost bytes, slow readers.
typedef struct side {
    px_stream *stream;
    uint64_t put, taken; // bytes; each byte is a function of its place
    uint8_t *flight;     // sent, not yet delivered
    size_t n_flight;
} side;

enum { FLIGHT = 1 << 18, STEPS = 10000 };

static uint8_t byte_at(uint64_t place)
{
    return (uint8_t)(place * 2654435761U >> 13);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static void put_some(side *s, uint64_t *seed)
{
    static uint8_t bytes[PX_STREAM_FRAME];
    uint32_t r = next_random(seed);
    size_t size = 1 + (r % 7 == 0 ? next_random(seed) % PX_STREAM_FRAME : r % 300);
    size = size > PX_STREAM_FRAME ? PX_STREAM_FRAME : size;
    if (px_stream_room(s->stream) == 0) {
        return;
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] = byte_at(s->put + i);
    }
    ok(px_stream_put(s->stream, px_slice_of(bytes, size)));
    s->put += size;
}

static void send_some(side *s, px_ns now, uint64_t *seed)
{
    size_t size = next_random(seed) % 70000;
    size = size < FLIGHT - s->n_flight ? size : FLIGHT - s->n_flight;
    s->n_flight += px_stream_output(s->stream, now, s->flight + s->n_flight, size);
}

static void deliver_some(side *from, side *to, px_ns now, uint64_t *seed)
{
    size_t size = from->n_flight == 0 ? 0 : 1 + next_random(seed) % from->n_flight;
    if (!px_stream_attached(to->stream) || size == 0) {
        return;
    }
    ok(px_stream_input(to->stream, now, px_slice_of(from->flight, size)));
    memmove(from->flight, from->flight + size, from->n_flight - size);
    from->n_flight -= size;
}

static void take_some(side *reader, uint64_t *seed)
{
    px_slice bytes = px_stream_arrived(reader->stream);
    size_t size = bytes.size == 0 ? 0 : 1 + next_random(seed) % bytes.size;
    size_t good = 0;
    while (good < size && bytes.data[good] == byte_at(reader->taken + good)) {
        good++;
    }
    ck_assert_uint_eq(good, size);
    px_stream_take(reader->stream, size);
    reader->taken += size;
}

static void cut(side *a, side *b, uint64_t *seed)
{
    // Either side may learn of it first; what is in flight is lost.
    if (next_random(seed) % 2 == 0) {
        a->n_flight = 0;
    }
    px_stream_detach(a->stream);
    px_stream_detach(b->stream);
    a->n_flight = b->n_flight = 0;
}

static void one_event(side *s, px_ns *now, uint64_t *seed)
{
    side *a = &s[next_random(seed) % 2];
    side *b = a == &s[0] ? &s[1] : &s[0];
    *now += next_random(seed) % (PX_NS_PER_S / 100);
    switch (next_random(seed) % 12) {
    case 0:
    case 1:
    case 2:
        put_some(a, seed);
        break;
    case 3:
    case 4:
    case 5:
        send_some(a, *now, seed);
        break;
    case 6:
    case 7:
        deliver_some(a, b, *now, seed);
        break;
    case 8:
    case 9:
        take_some(a, seed);
        break;
    case 10:
        if (px_stream_tick(a->stream, *now) == PX_STREAM_SILENT) {
            cut(a, b, seed);
        }
        break;
    default:
        if (next_random(seed) % 8 == 0) {
            cut(a, b, seed);
        } else if (!px_stream_attached(a->stream)) {
            connect_both(a->stream, b->stream, *now);
        }
    }
    ck_assert(px_stream_check(a->stream));
    ck_assert(px_stream_check(b->stream));
}

static void storm(uint64_t seed)
{
    px_ns now = 1;
    side s[2] = {{.stream = new_stream()}, {.stream = new_stream()}};
    s[0].flight = malloc(FLIGHT);
    s[1].flight = malloc(FLIGHT);
    ck_assert(s[0].flight != NULL && s[1].flight != NULL);
    for (int i = 0; i < STEPS; i++) {
        one_event(s, &now, &seed);
    }
    // In the end everything arrives.
    cut(&s[0], &s[1], &seed);
    connect_both(s[0].stream, s[1].stream, now);
    ok(px_stream_end(s[0].stream));
    ok(px_stream_end(s[1].stream));
    carry_all(s[0].stream, s[1].stream, now);
    for (int i = 0; i < 2; i++) {
        while (px_stream_arrived(s[i].stream).size > 0) {
            take_some(&s[i], &seed);
        }
        ck_assert(px_stream_ended(s[i].stream));
        ck_assert(px_stream_settled(s[i].stream));
        ck_assert_uint_eq(s[i].taken, s[1 - i].put);
        ck_assert_uint_gt(s[i].taken, 1 << 17);
    }
    for (int i = 0; i < 2; i++) {
        px_stream_free(s[i].stream);
        free(s[i].flight);
    }
}

START_TEST(nothing_is_lost_in_a_storm)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        storm(seed);
    }
}
END_TEST

UNIT_MAIN("stream", what_is_put_arrives, a_torn_frame_comes_again,
          the_window_is_bounded_and_opens_again, silence_and_lease,
          what_has_arrived_is_told_with_the_beat, what_breaks_the_rules_is_refused,
          nothing_is_lost_in_a_storm)
