// A message that says that segments come with it: nothing it names exists, so it is refused or has
// none.
#include "fuzz.h"

#include "px/bulk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PX_AUTO_FRAMES frames = {0};
    px_error error = {0};

    if (size < 1) {
        return 0;
    }
    fuzz_frames(data + 1, size - 1, &frames);
    size_t n = frames.n;
    if (px_bulk_unpack(&frames, data[0], &error) == PX_OK) {
        must(frames.n + 1 == n);
    }
    return 0;
}
