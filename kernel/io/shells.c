// px-io's side of subshells: the three control requests, answered here, and the way of a request to
// the shell that it is for.
//
// A subshell's thread is Python's, so it is made by somebody who holds the GIL: a thread of its own
// that waits for it, since px-main may run a cell, or px-main before its next cell (py/shell.c),
// whoever comes first. The answer does not wait for that: requests wait in the inbox.

#include "io/io.h"
#include "io/member.h"
#include "io/need.h"

#include "px/thread.h"

#include <string.h>

static void write_status(px_jsonw *w, const char *status)
{
    px_jsonw_object(w);
    px_jsonw_key_string(w, "status", status);
}

static void create(px_kernel *kernel, px_buf *out)
{
    const px_subshell *shell = px_subshells_create(&kernel->subshells);
    px_jsonw w = px_jsonw_to(out);
    write_status(&w, "ok");
    px_jsonw_key_string(&w, "subshell_id", shell->id);
    px_jsonw_end_object(&w);
    void *(*start)(void *) = atomic_load(&kernel->subshells.start);
    if (start == NULL) {
        return; // Python makes the thread when it is there
    }
    pthread_t thread;
    px_err err = px_thread_start(&thread, "px-start", start, kernel);
    if (err == PX_OK) {
        (void)pthread_detach(thread); // it ends when it has done that
    } else {
        px_log_warning("a subshell begins when the main shell is free", "cause=%s",
                       px_err_text(err));
    }
}

// write_unknown writes the error that stands for an id that no subshell has.
static void write_unknown(px_buf *out, const char *id)
{
    PX_AUTO_BUF sentence = {0};
    px_buf_printf(&sentence, "Unknown subshell_id '%s'", id);
    px_jsonw w = px_jsonw_to(out);
    write_status(&w, "error");
    px_jsonw_key_string(&w, "ename", "UnknownSubshellError");
    px_jsonw_key(&w, "evalue");
    px_jsonw_slice(&w, px_buf_slice(&sentence));
    px_jsonw_key(&w, "traceback");
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
}

static void delete (px_kernel *kernel, px_slice content, px_buf *out)
{
    PX_AUTO(px_json) json = NULL;
    const char *id = "";
    if (px_json_parse(content, &json, NULL) == PX_OK) {
        id = px_json_string(json, "subshell_id", "");
    }
    if (px_subshells_delete(&kernel->subshells, id) == PX_OK) {
        px_jsonw w = px_jsonw_to(out);
        write_status(&w, "ok");
        px_jsonw_end_object(&w);
    } else {
        write_unknown(out, id);
    }
}

bool px_shells_answer(px_io *io, const px_message *message, px_buf *out)
{
    px_kernel *kernel = io->kernel;
    px_jsonw w;
    switch (message->type) {
    case PX_MSG_CREATE_SUBSHELL_REQUEST:
        create(kernel, out);
        return true;
    case PX_MSG_DELETE_SUBSHELL_REQUEST:
        delete (kernel, message->content, out);
        return true;
    case PX_MSG_LIST_SUBSHELL_REQUEST:
        w = px_jsonw_to(out);
        write_status(&w, "ok");
        px_jsonw_key(&w, "subshell_id");
        px_subshells_write(&kernel->subshells, out);
        px_buf_append_str(out, "}");
        return true;
    default:
        return false;
    }
}

// refuse answers a request for a subshell that is not there. busy and idle are all that a client
// has to go by for messages without a reply, as those of comms.
static void refuse(px_io *io, const px_request *request)
{
    char type[64];
    PX_AUTO_BUF content = {0};
    PX_AUTO_BUF metadata = {0};
    char now[PX_STAMP_SIZE];
    if (strncmp(request->message->msg_type, "comm_", 5) == 0 &&
        request->message->type != PX_MSG_COMM_INFO_REQUEST) {
        (void)snprintf(type, sizeof(type), "comm_reply");
    } else {
        px_reply_type(request->message->msg_type, type, sizeof(type));
    }
    px_stamp_now(now);
    write_unknown(&content, request->message->subshell_id);
    px_buf_printf(
        &metadata,
        "{\"started\":\"%s\",\"dependencies_met\":true,\"engine\":\"%s\",\"status\":\"error\"}",
        now, io->kernel->config.ident);
    px_must(px_buf_status(&content));
    px_must(px_buf_status(&metadata));
    px_io_status(io, request->parent, "busy");
    px_io_send(io, request->channel, request->parent,
               &(px_outgoing){.msg_type = type,
                              .content = px_buf_slice(&content),
                              .metadata = px_buf_slice(&metadata)});
    px_io_status(io, request->parent, "idle");
}

static bool is_of_comm(px_msg_type type)
{
    return type == PX_MSG_COMM_MSG || type == PX_MSG_COMM_CLOSE;
}

bool px_shells_find(px_io *io, px_request *request, px_subshell **ret_shell)
{
    px_kernel *kernel = io->kernel;
    const char *named = request->message->subshell_id;
    px_subshell *shell = NULL;
    if (request->channel != PX_SHELL) {
        *ret_shell = NULL;
        return true;
    }
    if (named != NULL) {
        shell = px_subshells_find(&kernel->subshells, named);
    }
    if (named != NULL && shell == NULL) {
        refuse(io, request);
        return false;
    }
    if (is_of_comm(request->message->type)) {
        bool idle = px_shell_idle(&kernel->blocked, &kernel->waiting);
        shell = px_comms_pick(&kernel->subshells, request, shell, idle);
    }
    if (shell != NULL) {
        (void)snprintf(request->parent->subshell, sizeof(request->parent->subshell), "%s",
                       shell->id);
    }
    *ret_shell = shell;
    return true;
}

px_mailbox *px_shells_inbox(px_kernel *kernel, const px_parent *parent)
{
    if (parent == NULL || parent->subshell[0] == '\0') {
        return &kernel->inbox;
    }
    px_subshell *shell = px_subshells_find(&kernel->subshells, parent->subshell);
    return shell != NULL ? &shell->inbox : NULL;
}
