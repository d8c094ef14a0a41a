// px-side needs the GIL to answer. When it has not had it for PX_KNOWN_AFTER, C code sits on it,
// for who knows how long, and a front end gives a completion up after a second. What can be said
// without Python is which names there are; px-main leaves them here after each cell. px-side and
// px-io agree by one atomic step on who answers (px_request_claim), so that only one does.

#include "io/known.h"

#include "io/io.h"
#include "io/need.h"

#include <utlist.h>

#include <string.h>

#define PX_KNOWN_AFTER (100 * PX_NS_PER_MS)

px_err px_known_init(px_known *known)
{
    *known = (px_known){0};
    return pthread_mutex_init(&known->lock, NULL) == 0 ? PX_OK : PX_ENOMEM;
}

void px_known_done(px_known *known)
{
    px_bytes_unref(known->names);
    (void)pthread_mutex_destroy(&known->lock);
}

void px_known_set(px_known *known, px_bytes *names)
{
    (void)pthread_mutex_lock(&known->lock);
    px_bytes *before = known->names;
    known->names = names;
    (void)pthread_mutex_unlock(&known->lock);
    px_bytes_unref(before);
}

// --- completing
// -----------------------------------------------------------------------------------

static bool in_word(uint8_t byte)
{
    return byte >= 0x80 || byte == '_' || (byte >= '0' && byte <= '9') ||
           (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool begins_character(uint8_t byte)
{
    return (byte & 0xC0) != 0x80;
}

// offset_of gives the byte offset of the character number at, at most the end.
static size_t offset_of(px_slice code, int64_t at)
{
    size_t offset = 0;
    while (offset < code.size) {
        if (begins_character(code.data[offset]) && at-- == 0) {
            break;
        }
        offset++;
    }
    return offset;
}

static int64_t count_characters(px_slice text)
{
    int64_t count = 0;
    for (size_t at = 0; at < text.size; at++) {
        count += begins_character(text.data[at]) ? 1 : 0;
    }
    return count;
}

static void write_matches(px_jsonw *w, px_slice names, px_slice word)
{
    size_t start = 0;
    for (size_t at = 0; at < names.size; at++) {
        if (names.data[at] != '\n') {
            continue;
        }
        px_slice name = px_slice_of(names.data + start, at - start);
        if (name.size >= word.size && memcmp(name.data, word.data, word.size) == 0) {
            px_jsonw_slice(w, name);
        }
        start = at + 1;
    }
}

void px_known_complete(px_slice names, px_slice content, px_buf *out)
{
    PX_AUTO(px_json) json = NULL;
    bool read = px_json_parse(content, &json, NULL) == PX_OK;
    px_slice code = read ? px_json_text(json, "code") : (px_slice){0};
    if (code.data == NULL) {
        code = PX_SLICE_LITERAL("");
    }
    int64_t asked = read ? px_json_int(json, "cursor_pos", INT64_MAX) : INT64_MAX;
    size_t end = offset_of(code, asked >= 0 ? asked : INT64_MAX);
    size_t start = end;
    while (start > 0 && in_word(code.data[start - 1])) {
        start--;
    }
    int64_t cursor = count_characters(px_slice_of(code.data, end));
    int64_t typed = count_characters(px_slice_of(code.data + start, end - start));
    bool can_tell = end > start && (start == 0 || code.data[start - 1] != '.');
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "ok");
    px_jsonw_key(&w, "matches");
    px_jsonw_array(&w);
    if (can_tell) {
        write_matches(&w, names, px_slice_of(code.data + start, end - start));
    }
    px_jsonw_end_array(&w);
    px_jsonw_key_int(&w, "cursor_start", can_tell ? cursor - typed : cursor);
    px_jsonw_key_int(&w, "cursor_end", cursor);
    px_jsonw_key(&w, "metadata");
    px_jsonw_object(&w);
    px_jsonw_end_object(&w);
    px_jsonw_end_object(&w);
}

// --- answering
// ------------------------------------------------------------------------------------

static void answer(px_io *io, const px_request *request)
{
    PX_AUTO_BUF content = {0};
    char type[64];
    px_known *known = &io->kernel->known;
    if (request->message->type == PX_MSG_COMPLETE_REQUEST) {
        (void)pthread_mutex_lock(&known->lock);
        px_bytes *names = px_bytes_ref(known->names);
        (void)pthread_mutex_unlock(&known->lock);
        px_known_complete(names != NULL ? px_bytes_slice(names) : (px_slice){0},
                          request->message->content, &content);
        px_bytes_unref(names);
    } else {
        px_buf_append_str(&content,
                          "{\"status\":\"ok\",\"found\":false,\"data\":{},\"metadata\":{}}");
    }
    px_must(px_buf_status(&content));
    px_reply_type(request->message->msg_type, type, sizeof(type));
    px_answer_send(io, request->channel, request->parent,
                   &(px_outgoing){.msg_type = type, .content = px_buf_slice(&content)});
}

static void due(void *context, px_ns now)
{
    (void)now;
    px_io *io = context;
    px_known *known = &io->kernel->known;
    px_request *request;
    px_request *next;
    LL_FOREACH_SAFE (known->asked, request, next) {
        if (px_request_claim(request)) {
            answer(io, request);
        }
        px_request_free(request);
    }
    known->asked = NULL;
}

px_err px_known_attach(px_io *io)
{
    return px_loop_add_timer(io->loop, "known", UINT64_MAX, 0, due, io, &io->kernel->known.timer);
}

void px_known_lent(px_io *io, px_request *request)
{
    px_msg_type type = request->message->type;
    if (type != PX_MSG_COMPLETE_REQUEST && type != PX_MSG_INSPECT_REQUEST) {
        return; // nothing is known that would help
    }
    px_known *known = &io->kernel->known;
    if (known->asked == NULL) {
        px_timer_set(known->timer, px_now() + PX_KNOWN_AFTER);
    }
    LL_PREPEND(known->asked, px_request_ref(request));
}
