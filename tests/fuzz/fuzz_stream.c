// What comes over a network connection, in pieces of any size: taken or refused, never torn.
#include "fuzz.h"

#include "px/stream.h"
#include "px/tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const px_stream_limits limits = {.window = 4096, .beat = 1000, .lease = 100000};
    px_stream *stream = NULL;
    uint8_t wire[64];
    px_greeting greeting;
    if (size >= PX_GREETING_SIZE && px_greeting_read(data, &greeting) == PX_OK) {
        px_greeting_write(&greeting, wire);
        must(memcmp(wire, data, PX_GREETING_SIZE) == 0);
    }
    must(px_stream_new(&limits, 1, &stream) == PX_OK);
    must(px_stream_put(stream, PX_SLICE_LITERAL("something")) == PX_OK);
    must(px_stream_attach(stream, 1, 0) == PX_OK);
    while (size > 0) {
        size_t piece = 1 + data[0] % size;
        if (data[0] == 0xff) {
            px_stream_detach(stream);
            must(px_stream_check(stream));
            if (px_stream_attach(stream, 2, 0) != PX_OK) {
                break; // it had said that it has something
            }
        }
        (void)px_stream_output(stream, 2, wire, 1 + data[0] % sizeof(wire));
        if (px_stream_input(stream, 2, px_slice_of(data, piece)) != PX_OK) {
            break;
        }
        px_stream_take(stream, px_stream_arrived(stream).size / 2);
        must(px_stream_check(stream));
        data += piece;
        size -= piece;
    }
    px_stream_free(stream);
    return 0;
}
