// A terms frame: what is taken encodes to the same bytes.
#include "fuzz.h"

#include "px/own.h"
#include "px/terms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    px_terms terms;
    px_bytes *again = NULL;

    if (px_terms_decode(px_slice_of(data, size), &terms) != PX_OK) {
        return 0;
    }
    uint32_t n = terms.n_after + terms.n_follow;
    PX_AUTO_FREE uint64_t *tasks = malloc((n + 1) * sizeof(uint64_t));
    must(tasks != NULL);
    for (uint32_t i = 0; i < n; i++) {
        tasks[i] = px_terms_task(&terms, i);
    }
    must(px_terms_encode(&terms, tasks, &again) == PX_OK);
    must(px_slice_equal(px_bytes_slice(again), px_slice_of(data, size)));
    px_bytes_unref(again);
    return 0;
}
