// Frames as a peer could send them: refused with a sentence and left alone, or a message whose
// parts are right. Without a key, since a signature would stop everything behind it; with one,
// nothing may pass.
#include "fuzz.h"

#include "px/json.h"
#include "px/session.h"

static px_session *session_with(const char *key)
{
    px_session *session = NULL;
    must(px_session_new(px_slice_str(key), "hmac-sha256", "fuzz", "fuzz", &session, NULL) == PX_OK);
    return session;
}

static void check(const px_message *message)
{
    PX_AUTO(px_json) header = NULL;

    must(message->first_buffer + message->n_buffers == px_frames_count(&message->frames));
    must(message->header.size >= 2 && message->content.size >= 2);
    must(message->msg_id != NULL && message->msg_type != NULL);
    // What our scanner takes, the parser takes, but for numbers that it cannot hold.
    px_err err = px_json_parse(message->header, &header, NULL);
    if (err == PX_OK && px_json_string(header, "msg_id", NULL) != NULL) {
        must(strcmp(px_json_string(header, "msg_id", ""), message->msg_id) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static px_session *open;
    static px_session *keyed;
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO(px_message) message = NULL;
    px_error error = {0};

    if (open == NULL) {
        open = session_with("");
        keyed = session_with("key");
    }
    fuzz_frames(data, size, &frames);
    size_t n = frames.n;
    must(px_session_verify(keyed, &frames, true, &message, &error) != PX_OK);
    must(frames.n == n && message == NULL && error.text[0] != '\0');
    error.text[0] = '\0';
    if (px_session_verify(open, &frames, true, &message, &error) == PX_OK) {
        must(frames.n == 0);
        check(message);
    } else {
        must(frames.n == n && message == NULL && error.text[0] != '\0');
    }
    return 0;
}
