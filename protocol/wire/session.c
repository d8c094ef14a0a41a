// Composing a message: two thirds of its cost would be work that is the same each time, so it is
// done once per session: the constant parts of the header are text ready to be appended, the signer
// keeps its key, the delimiter is a frame that every message shares.
//
// A session belongs to one thread. Its clones draw their message numbers from one counter, so ids
// stay unique and ordered whichever thread composes.
#include "session.h"

#include "frames.h"

#include "px/id.h"
#include "px/json.h"
#include "px/time.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

// Writes the parts of the header that never change.
static px_err write_lead(px_session *session)
{
    px_buf *lead = &session->lead;
    px_jsonw w = px_jsonw_to(lead);

    px_buf_clear(lead);
    px_jsonw_object(&w);
    px_jsonw_key(&w, "msg_id");
    px_jsonw_string(&w, session->id);
    if (px_buf_status(lead) == PX_OK) {
        lead->size--; // the closing quote comes after the number
    }
    px_buf_printf(lead, "_%ld_", (long)session->pid);
    session->middle = lead->size;
    px_buf_append_str(lead, ",\"username\":");
    w = px_jsonw_to(lead);
    px_jsonw_string(&w, session->username);
    px_buf_append_str(lead, ",\"session\":");
    w = px_jsonw_to(lead);
    px_jsonw_string(&w, session->id);
    px_buf_append_str(lead, ",\"date\":\"");
    return px_buf_status(lead);
}

static px_err fill(px_session *session, px_slice key, const char *scheme, px_error *reterr)
{
    uint8_t *key_copy = malloc(key.size + 1);
    if (key_copy == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    if (key.size != 0) {
        memcpy(key_copy, key.data, key.size);
    }
    session->key = px_slice_of(key_copy, key.size);
    session->pid = getpid();
    PX_TRY(px_signer_new(key, scheme, &session->signer, reterr));
    px_err err = px_bytes_copy(PX_SLICE_LITERAL(PX_DELIMITER), &session->delimiter);
    if (err == PX_OK) {
        err = write_lead(session);
    }
    return err == PX_OK ? PX_OK : px_error_set(reterr, err, "out of memory");
}

static void copy_text(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

static px_err new_numbers(px__numbers **ret_numbers)
{
    px__numbers *numbers = malloc(sizeof(*numbers));
    if (numbers == NULL) {
        return PX_ENOMEM;
    }
    atomic_init(&numbers->refs, 1);
    atomic_init(&numbers->next, 0);
    *ret_numbers = numbers;
    return PX_OK;
}

static void unref_numbers(px__numbers *numbers)
{
    if (numbers != NULL && atomic_fetch_sub(&numbers->refs, 1) == 1) {
        free(numbers);
    }
}

px_err px_session_new(px_slice key, const char *scheme, const char *id, const char *username,
                      px_session **ret_session, px_error *reterr)
{
    char fresh_id[PX_ID_SIZE];

    if (username == NULL) {
        username = getenv("USER");
    }
    if (username == NULL || *username == '\0') {
        username = "username";
    }
    if (id == NULL) {
        px_id_new(fresh_id);
        id = fresh_id;
    }
    if (scheme == NULL || *scheme == '\0') {
        scheme = "hmac-sha256";
    }
    if (strlen(id) > 36 || strlen(scheme) >= 32) {
        return px_error_set(reterr, PX_EINVAL, "session id (36) or signature scheme (31) too long");
    }
    PX_AUTO(px_session) session = calloc(1, sizeof(*session));
    if (session == NULL || new_numbers(&session->numbers) != PX_OK) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    copy_text(session->id, sizeof(session->id), id);
    copy_text(session->username, sizeof(session->username), username);
    copy_text(session->scheme, sizeof(session->scheme), scheme);
    PX_TRY(fill(session, key, scheme, reterr));
    *ret_session = PX_STEAL(session);
    return PX_OK;
}

static px_err clone_with(const px_session *session, px_slice key, px_session **ret_session)
{
    PX_AUTO(px_session) clone = calloc(1, sizeof(*clone));
    if (clone == NULL) {
        return PX_ENOMEM;
    }
    copy_text(clone->id, sizeof(clone->id), session->id);
    copy_text(clone->username, sizeof(clone->username), session->username);
    copy_text(clone->scheme, sizeof(clone->scheme), session->scheme);
    (void)atomic_fetch_add(&session->numbers->refs, 1);
    clone->numbers = session->numbers;
    PX_TRY(fill(clone, key, session->scheme, NULL));
    *ret_session = PX_STEAL(clone);
    return PX_OK;
}

px_err px_session_clone(const px_session *session, px_session **ret_session)
{
    return clone_with(session, session->key, ret_session);
}

px_err px_session_clone_trusting(const px_session *session, px_session **ret_session)
{
    return clone_with(session, (px_slice){0}, ret_session);
}

void px_session_free(px_session *session)
{
    if (session == NULL) {
        return;
    }
    px_signer_free(session->signer);
    px_replay_free(session->replay);
    unref_numbers(session->numbers);
    if (session->key.data != NULL) {
        uint8_t *key = (uint8_t *)(uintptr_t)session->key.data;
        explicit_bzero(key, session->key.size);
        free(key);
    }
    px_buf_done(&session->lead);
    px_bytes_unref(session->delimiter);
    free(session);
}

const char *px_session_id(const px_session *session)
{
    return session->id;
}

static uint64_t next_number(px_session *session)
{
    return atomic_fetch_add_explicit(&session->numbers->next, 1, memory_order_relaxed);
}

// Writes number in decimal before end and gives where it starts.
static char *write_decimal(char *end, uint64_t number)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return end;
}

void px_session_next_id(px_session *session, char ret_id[PX_MSG_ID_SIZE])
{
    char digits[24];
    char *end = digits + sizeof(digits);
    char *out = ret_id;

    size_t length = strlen(session->id);
    memcpy(out, session->id, length);
    out += length;
    *out++ = '_';
    char *start = write_decimal(end, (uint64_t)session->pid);
    memcpy(out, start, (size_t)(end - start));
    out += end - start;
    *out++ = '_';
    start = write_decimal(end, next_number(session));
    memcpy(out, start, (size_t)(end - start));
    out[end - start] = '\0';
}

void px_session_forked(px_session *session)
{
    px__numbers *numbers = NULL;

    session->pid = getpid();
    px_id_new(session->id);
    if (new_numbers(&numbers) == PX_OK) {
        unref_numbers(session->numbers);
        session->numbers = numbers;
    }
    px_err err = write_lead(session);
    assert(err == PX_OK); // the text is no longer than before, but for the digits of the pid
    (void)err;
}

static const char type_key[] = "\",\"msg_type\":\"";
static const char tail[] = "\",\"version\":\"" PX_PROTOCOL_VERSION "\"}";

// The id of a message: its own digits behind the session's part, or all that it was given.
typedef struct message_id {
    char digits[24];
    px_slice lead;
    px_slice rest;
} message_id;

static void take_id(px_session *session, const px_outgoing *outgoing, message_id *ret)
{
    if (outgoing->msg_id == NULL) {
        char *end = ret->digits + sizeof(ret->digits);
        char *number = write_decimal(end, next_number(session));
        ret->lead = px_slice_of(session->lead.data, session->middle);
        ret->rest = px_slice_of(number, (size_t)(end - number));
    } else {
        ret->lead = PX_SLICE_LITERAL("{\"msg_id\":\"");
        ret->rest = px_slice_str(outgoing->msg_id);
    }
}

static size_t header_size(const px_session *session, const px_outgoing *outgoing,
                          const message_id *id)
{
    return id->lead.size + id->rest.size + sizeof(type_key) - 1 + strlen(outgoing->msg_type) + 1 +
           session->lead.size - session->middle + PX_STAMP_SIZE - 1 + sizeof(tail) - 1;
}

static void write_header(const px_session *session, const px_outgoing *outgoing,
                         const message_id *id, uint8_t *out)
{
    char stamp[PX_STAMP_SIZE];

    if (outgoing->date != NULL) {
        memcpy(stamp, outgoing->date, PX_STAMP_SIZE);
    } else {
        px_stamp_now(stamp);
    }
    out = mempcpy(out, id->lead.data, id->lead.size);
    out = mempcpy(out, id->rest.data, id->rest.size);
    out = mempcpy(out, type_key, sizeof(type_key) - 1);
    out = mempcpy(out, outgoing->msg_type, strlen(outgoing->msg_type));
    *out++ = '"';
    out = mempcpy(out, session->lead.data + session->middle, session->lead.size - session->middle);
    out = mempcpy(out, stamp, PX_STAMP_SIZE - 1);
    (void)mempcpy(out, tail, sizeof(tail) - 1);
}

// Pushes and gives the reference up in every case.
static px_err push_owned(px_frames *frames, px_bytes *bytes)
{
    px_err err = px_frames_push(frames, bytes);
    if (err != PX_OK) {
        px_bytes_unref(bytes);
    }
    return err;
}

static void write_object(px_slice object, uint8_t *out)
{
    if (object.size == 0) {
        object = PX_SLICE_LITERAL("{}");
    }
    memcpy(out, object.data, object.size);
}

static size_t object_size(px_slice object)
{
    return object.size == 0 ? 2 : object.size;
}

// A delimiter of all messages, then signature and the four parts in memory of their own.
static px_err compose(px_session *session, const px_outgoing *outgoing, px_frames *frames)
{
    char signature[PX_SIGNATURE_SIZE * 2] = "";
    message_id id;
    px_slice parts[4];

    take_id(session, outgoing, &id);
    const size_t sizes[] = {px_signer_size(session->signer), header_size(session, outgoing, &id),
                            object_size(outgoing->parent), object_size(outgoing->metadata),
                            object_size(outgoing->content)};
    PX_TRY(push_owned(frames, px_bytes_ref(session->delimiter)));
    size_t at = frames->n;
    PX_TRY(px__frames_new(frames, sizes, 5));
    write_header(session, outgoing, &id, px__frames_data(frames, at + 1));
    write_object(outgoing->parent, px__frames_data(frames, at + 2));
    write_object(outgoing->metadata, px__frames_data(frames, at + 3));
    write_object(outgoing->content, px__frames_data(frames, at + 4));
    for (size_t i = 0; i < 4; i++) {
        parts[i] = px_frames_get(frames, at + 1 + i);
    }
    PX_TRY(px_sign(session->signer, parts, 4, signature));
    memcpy(px__frames_data(frames, at), signature, sizes[0]);
    for (size_t i = 0; i < outgoing->n_buffers; i++) {
        PX_TRY(push_owned(frames, px_bytes_ref(outgoing->buffers[i])));
    }
    return PX_OK;
}

px_err px_session_compose(px_session *session, const px_outgoing *outgoing, px_frames *frames)
{
    size_t before = frames->n;

    px_err err = compose(session, outgoing, frames);
    while (err != PX_OK && frames->n > before) {
        px_bytes_unref(frames->items[--frames->n]);
    }
    return err;
}
