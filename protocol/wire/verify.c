// Verifying a message: find the delimiter, check the signature, then and only then look at what it
// covers. Nothing is copied but the four strings of the header that are looked at again and again,
// and they live in the message's own allocation.
//
// The frames stay the caller's until all is well, so a caller may log or count what it drops.
#include "scan.h"
#include "session.h"

#include "px/json.h"

#include <stdlib.h>

#define MAX_IDENTITIES 64
#define MAX_HEADER 65536 // a header of more bytes is an attack, not a header

typedef struct header_values {
    px_slice msg_id, msg_type, session, subshell_id;
} header_values;

static void take_member(void *context, px_slice key, px_slice value)
{
    header_values *values = context;
    const struct {
        px_slice key;
        px_slice *value;
    } wanted[] = {
        {PX_SLICE_LITERAL("msg_id"), &values->msg_id},
        {PX_SLICE_LITERAL("msg_type"), &values->msg_type},
        {PX_SLICE_LITERAL("session"), &values->session},
        {PX_SLICE_LITERAL("subshell_id"), &values->subshell_id},
    };

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (px_slice_equal(key, wanted[i].key)) {
            *wanted[i].value = value; // the last one counts, as in Python
        }
    }
}

static bool looks_like_object(px_slice text)
{
    size_t first = 0;
    size_t last = text.size;

    while (first < last && strchr(" \t\r\n", text.data[first]) != NULL && text.data[first] != 0) {
        first++;
    }
    while (last > first && strchr(" \t\r\n", text.data[last - 1]) != NULL &&
           text.data[last - 1] != 0) {
        last--;
    }
    return last - first >= 2 && text.data[first] == '{' && text.data[last - 1] == '}';
}

static px_err find_delimiter(const px_frames *frames, size_t *ret_index, px_error *reterr)
{
    const px_slice delimiter = PX_SLICE_LITERAL(PX_DELIMITER);

    for (size_t i = 0; i < frames->n && i <= MAX_IDENTITIES; i++) {
        if (!px_slice_equal(px_frames_get(frames, i), delimiter)) {
            continue;
        }
        if (frames->n - i < 6) {
            return px_error_set(reterr, PX_EFORMAT,
                                "%zu frames follow the delimiter, a message has at least 5",
                                frames->n - i - 1);
        }
        *ret_index = i;
        return PX_OK;
    }
    return px_error_set(reterr, PX_EFORMAT, "no " PX_DELIMITER " among the first %d of %zu frames",
                        MAX_IDENTITIES + 1, frames->n);
}

static px_err check_signature(px_session *session, const px_slice parts[4], px_slice signature,
                              bool check_replay, px_error *reterr)
{
    if (!px_signer_keyed(session->signer)) {
        return PX_OK;
    }
    px_err err = px_sign_check(session->signer, parts, 4, signature);
    if (err != PX_OK) {
        return px_error_set(reterr, err,
                            "the signature does not match: the sender has another key, or the "
                            "message was changed");
    }
    if (!check_replay) {
        return PX_OK;
    }
    if (session->replay == NULL && px_replay_new(&session->replay) != PX_OK) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    if (px_replay_seen(session->replay, signature)) {
        return px_error_set(reterr, PX_EREPLAY, "a message with this signature came before");
    }
    return PX_OK;
}

// Decodes value into *place and moves on behind it; an absent or null value is NULL.
static bool take_string(px_slice value, char **place, char **ret_text)
{
    *ret_text = NULL;
    if (value.size == 0 || px_slice_equal(value, PX_SLICE_LITERAL("null"))) {
        return true;
    }
    if (!px__scan_string(value, *place)) {
        return false;
    }
    *ret_text = *place;
    *place += strlen(*place) + 1;
    return true;
}

static px_err read_header(px_slice header, px_message **ret_message, px_error *reterr)
{
    header_values values = {0};
    px_error cause;

    if (header.size > MAX_HEADER) {
        return px_error_set(reterr, PX_EFORMAT, "header of %zu bytes", header.size);
    }
    px_err err = px__scan_object(header, take_member, &values, &cause);
    if (err != PX_OK) {
        return px_error_set(reterr, err, "header: %.200s", cause.text);
    }
    // A decoded string and its end need no more than the text between and with its quotes.
    size_t room =
        values.msg_id.size + values.msg_type.size + values.session.size + values.subshell_id.size;
    PX_AUTO(px_message) message = malloc(sizeof(*message) + room);
    if (message == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    *message = (px_message){.header = header};
    char *place = (char *)(message + 1);
    if (!take_string(values.msg_id, &place, &message->msg_id) || message->msg_id == NULL) {
        return px_error_set(reterr, PX_EJSON, "header: msg_id is not a string");
    }
    if (!take_string(values.msg_type, &place, &message->msg_type) || message->msg_type == NULL) {
        return px_error_set(reterr, PX_EJSON, "header: msg_type is not a string");
    }
    if (!take_string(values.session, &place, &message->session)) {
        return px_error_set(reterr, PX_EJSON, "header: session is not a string");
    }
    if (!take_string(values.subshell_id, &place, &message->subshell_id)) {
        return px_error_set(reterr, PX_EJSON, "header: subshell_id is not a string");
    }
    message->type = px_msg_type_from(px_slice_str(message->msg_type));
    *ret_message = PX_STEAL(message);
    return PX_OK;
}

px_err px_session_verify(px_session *session, px_frames *frames, bool check_replay,
                         px_message **ret_message, px_error *reterr)
{
    static const char *const names[] = {"header", "parent_header", "metadata", "content"};
    size_t delimiter = 0;
    px_slice parts[4];

    PX_TRY(find_delimiter(frames, &delimiter, reterr));
    for (size_t i = 0; i < 4; i++) {
        parts[i] = px_frames_get(frames, delimiter + 2 + i);
    }
    px_slice signature = px_frames_get(frames, delimiter + 1);
    PX_TRY(check_signature(session, parts, signature, check_replay, reterr));
    for (size_t i = 1; i < 4; i++) {
        if (!looks_like_object(parts[i])) {
            return px_error_set(reterr, PX_EJSON, "%s is not a JSON object", names[i]);
        }
    }
    px_message *message = NULL;
    PX_TRY(read_header(parts[0], &message, reterr));
    message->delimiter = delimiter;
    message->parent = parts[1];
    message->metadata = parts[2];
    message->content = parts[3];
    message->first_buffer = delimiter + 6;
    message->n_buffers = frames->n - message->first_buffer;
    px_frames_move(&message->frames, frames);
    *ret_message = message;
    return PX_OK;
}

void px_message_free(px_message *message)
{
    if (message == NULL) {
        return;
    }
    px_frames_done(&message->frames);
    free(message); // its strings are in the same allocation
}
