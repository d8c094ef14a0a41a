// A route frame: what is taken encodes to the same bytes.
#include "fuzz.h"

#include "px/cluster.h"
#include "px/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    px_route route;
    px_bytes *again = NULL;

    if (px_route_decode(px_slice_of(data, size), &route) != PX_OK) {
        return 0;
    }
    PX_AUTO_FREE uint32_t *engines = malloc((route.n + 1) * sizeof(uint32_t));
    must(engines != NULL);
    for (uint32_t i = 0; i < route.n; i++) {
        engines[i] = px_route_engine(&route, i);
    }
    must(px_route_encode(&route, engines, &again) == PX_OK);
    must(px_slice_equal(px_bytes_slice(again), px_slice_of(data, size)));
    px_bytes_unref(again);
    return 0;
}
