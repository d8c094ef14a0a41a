// relaybench.c: round trips through a running cluster of any engines, in microseconds.
//
// usage: relaybench CLUSTER [ROUNDS [IN_FLIGHT]]: empty requests to engine after engine, then to
// all.

#include "peer.h"

#include "px/id.h"
#include "px/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_value(const void *a, const void *b)
{
    const px_ns x = *(const px_ns *)a, y = *(const px_ns *)b;
    return x < y ? -1 : x > y;
}

// at is the value below which `percent` of the sorted values are.
static double at(const px_ns *took, size_t n, size_t percent)
{
    size_t index = n * percent / 100;
    return (double)took[index] / 1000;
}

static void print(const char *what, px_ns *took, size_t n)
{
    qsort(took, n, sizeof(*took), by_value);
    (void)printf("%-28s p50 %8.1f us  p90 %8.1f us  p99 %8.1f us\n", what, at(took, n, 50),
                 at(took, n, 90), at(took, n, 99));
}

static void request(test_peer *peer, uint64_t task, const uint32_t *engines, uint32_t n)
{
    px_route route = {.kind = n == 0 ? PX_ROUTE_TASK : PX_ROUTE_REQUEST, .task = task, .n = n};
    px_outgoing message = {.msg_type = "apply_request", .metadata = PX_SLICE_LITERAL("{\"px\":1}")};
    peer_send(peer, peer->work, &route, engines, &message);
}

static void wait_replies(test_peer *peer, uint32_t n)
{
    while (n > 0) {
        px_message *message = peer_wait(peer, peer->work);
        if (message == NULL) {
            (void)fputs("the controller hung up\n", stderr);
            exit(1);
        }
        n -= strstr(message->msg_type, "_reply") != NULL;
        px_message_free(message);
    }
}

typedef struct px_load {
    long long rounds, in_flight;
} px_load;

// many keeps in_flight requests going; to engines in turn, or n 0: wherever the controller likes.
static void many(test_peer *peer, const char *what, const uint32_t *ids, uint32_t n, px_load load)
{
    px_ns start = px_now();
    long long sent = 0;
    for (long long back = 0; back < load.rounds; back++) {
        for (; sent < load.rounds && sent - back < load.in_flight; sent++) {
            request(peer, (uint64_t)(load.rounds + sent), n > 0 ? &ids[(uint64_t)sent % n] : NULL,
                    n > 0 ? 1 : 0);
        }
        wait_replies(peer, 1);
    }
    (void)printf("%-28s %.1f us each\n", what,
                 (double)(px_now() - start) / 1000 / (double)load.rounds);
}

int main(int argc, char **argv)
{
    test_peer peer = {0};
    px_error error = {0};
    long long rounds = 2000, in_flight = 64;
    if (argc < 2 || (argc > 2 && px_parse_number(argv[2], 1, 10000000, &rounds) != PX_OK) ||
        (argc > 3 && px_parse_number(argv[3], 1, 100000, &in_flight) != PX_OK)) {
        (void)fputs("usage: relaybench CLUSTER [ROUNDS [IN_FLIGHT]]\n", stderr);
        return 2;
    }
    if (px_cluster_file_read(argv[1], &peer.file, &error) != PX_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 3;
    }
    char who[64];
    (void)snprintf(who, sizeof(who), "{\"role\":\"client\",\"pid\":%d}", (int)getpid());
    peer_join(&peer, who, "client");
    uint32_t n = peer.file.n;
    uint32_t *ids = calloc(n, sizeof(*ids));
    px_ns *took = calloc((size_t)rounds, sizeof(*took));
    if (ids == NULL || took == NULL || n == 0) {
        return 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = i;
    }
    for (long long i = 0; i < rounds; i++) {
        px_ns start = px_now();
        request(&peer, (uint64_t)i, &ids[(uint64_t)i % n], 1);
        wait_replies(&peer, 1);
        took[i] = px_now() - start;
    }
    print("one engine", took, (size_t)rounds);
    for (long long i = 0; i < rounds; i++) {
        px_ns start = px_now();
        request(&peer, (uint64_t)i, ids, n);
        wait_replies(&peer, n);
        took[i] = px_now() - start;
    }
    print("all engines", took, (size_t)rounds);
    many(&peer, "many in flight", ids, n, (px_load){rounds, in_flight});
    many(&peer, "many placed", ids, 0, (px_load){rounds, in_flight});
    free(ids);
    free(took);
    peer_leave(&peer);
    return 0;
}
