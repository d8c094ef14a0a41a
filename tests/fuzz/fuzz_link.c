// A stream as a peer could write it, in pieces whose sizes the first bytes choose.
#include "fuzz.h"

#include "px/link.h"

#include <sys/socket.h>
#include <unistd.h>

#define LIMIT 4096

static bool receive_all(px_link *link)
{
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        px_err err = px_link_recv(link, &frames);
        if (err != PX_OK) {
            return err == PX_EAGAIN;
        }
        must(frames.n >= 1 && frames.n <= PX_LINK_MAX_FRAMES);
        must(px_frames_bytes(&frames) <= LIMIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    px_link *link = NULL;

    if (size < 1) {
        return 0;
    }
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    must(px_link_adopt(pair[0], LIMIT, &link) == PX_OK);
    size_t piece = data[0] == 0 ? 1 : (size_t)data[0] * data[0];
    bool open = true;
    for (size_t at = 1; at < size && open;) {
        size_t want = size - at < piece ? size - at : piece;
        ssize_t written = write(pair[1], data + at, want);
        at += written > 0 ? (size_t)written : 0;
        open = receive_all(link);
    }
    (void)close(pair[1]); // the peer's end
    if (open) {
        (void)receive_all(link); // what is left, and the end
    }
    px_link_close(link);
    return 0;
}
