// What px-io answers by itself: no GIL, no Python, also while a cell sits in a C call. kernel_info,
// interrupt, shutdown, usage, connect, the requests about subshells and, for an engine, heartbeats.
//
// Each answer stands between `busy` and `idle` of its own request. A front end that counts on the
// last status it saw would now think that a running cell is done, so `busy` of the running cell is
// said again.

#include "io/io.h"
#include "io/member.h"
#include "io/need.h"

#include <string.h>

static void write_help(px_jsonw *w)
{
    static const char *const links[][2] = {
        {"Python Reference", "https://docs.python.org/3"},
        {"IPython Reference", "https://ipython.org/documentation.html"},
        {"NumPy Reference", "https://docs.scipy.org/doc/numpy/reference/"},
        {"SciPy Reference", "https://docs.scipy.org/doc/scipy/reference/"},
        {"Matplotlib Reference", "https://matplotlib.org/contents.html/"},
        {"SymPy Reference", "http://docs.sympy.org/latest/index.html"},
        {"pandas Reference", "https://pandas.pydata.org/pandas-docs/stable/"},
    };
    px_jsonw_key(w, "help_links");
    px_jsonw_array(w);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        px_jsonw_object(w);
        px_jsonw_key_string(w, "text", links[i][0]);
        px_jsonw_key_string(w, "url", links[i][1]);
        px_jsonw_end_object(w);
    }
    px_jsonw_end_array(w);
}

static void write_language(px_jsonw *w, const char *version)
{
    px_jsonw_key(w, "language_info");
    px_jsonw_object(w);
    px_jsonw_key_string(w, "name", "python");
    px_jsonw_key_string(w, "version", version);
    px_jsonw_key_string(w, "mimetype", "text/x-python");
    px_jsonw_key(w, "codemirror_mode");
    px_jsonw_object(w);
    px_jsonw_key_string(w, "name", "ipython");
    px_jsonw_key_int(w, "version", 3);
    px_jsonw_end_object(w);
    px_jsonw_key_string(w, "pygments_lexer", "ipython3");
    px_jsonw_key_string(w, "nbconvert_exporter", "python");
    px_jsonw_key_string(w, "file_extension", ".py");
    px_jsonw_end_object(w);
}

void px_answer_default(const px_config *config, px_buf *out)
{
    PX_AUTO_BUF banner = {0};
    px_buf_printf(&banner, "Python %s\nIPython %s, served by pxkernel " PX_VERSION "\n",
                  config->python_version, config->implementation_version);
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "ok");
    px_jsonw_key_string(&w, "protocol_version", "5.5");
    px_jsonw_key_string(&w, "implementation", "ipython");
    px_jsonw_key_string(&w, "implementation_version", config->implementation_version);
    write_language(&w, config->python_version);
    px_jsonw_key(&w, "banner");
    px_jsonw_slice(&w, px_buf_slice(&banner));
    write_help(&w);
    px_jsonw_key(&w, "supported_features");
    px_jsonw_array(&w);
    px_jsonw_string(&w, "kernel subshells");
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
    px_must(px_buf_status(out));
}

// --- contents -----------------------------------------------------------------------------------

static void write_ok(px_buf *out)
{
    px_buf_append_str(out, "{\"status\":\"ok\"}");
}

static void write_error(px_buf *out, const char *ename, const char *evalue)
{
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", ename);
    px_jsonw_key_string(&w, "evalue", evalue);
    px_jsonw_key(&w, "traceback");
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
}

static void answer_kernel_info(px_io *io, px_buf *out)
{
    (void)pthread_mutex_lock(&io->info_lock);
    px_buf_append_slice(out, px_bytes_slice(io->kernel_info));
    (void)pthread_mutex_unlock(&io->info_lock);
}

typedef struct px_asked {
    const px_parent *running;
    pthread_t main;
} px_asked;

// asked_beside tells if a question is that of a thread which the running cell has started.
static bool asked_beside(const void *context, const px_question *question)
{
    const px_asked *asked = context;
    return question->parent == asked->running && !pthread_equal(question->asker, asked->main);
}

static void interrupt_questions(px_kernel *kernel)
{
    px_parent *running = px_interrupt_running(&kernel->interrupt);
    if (running != NULL) {
        const px_asked asked = {.running = running, .main = kernel->interrupt.main};
        px_questions_interrupt(&kernel->questions, asked_beside, &asked);
        px_parent_unref(running);
    }
}

static void answer_interrupt(px_io *io, px_buf *out)
{
    interrupt_questions(io->kernel);
    px_err err = px_interrupt_send(&io->kernel->interrupt, true);
    // The system may have chosen another thread of the user's for a signal to the group: then the
    // loop of px-main sleeps on, unless it has a letter.
    px_letter *letter = px_need_zeroed(sizeof(*letter));
    letter->kind = PX_NOTICE_NUDGE;
    px_mailbox_post(&io->kernel->inbox, letter);
    if (err == PX_OK) {
        px_stuck_watch(io);
        write_ok(out);
    } else {
        write_error(out, "OSError", px_err_text(err));
    }
}

static void answer_shutdown(const px_message *message, px_buf *out)
{
    bool restart = px_member_is(message->content, "restart", "true");
    px_buf_printf(out, "{\"status\":\"ok\",\"restart\":%s}", restart ? "true" : "false");
}

static void answer_usage(px_buf *out)
{
    px_usage(out);
}

// write_answer writes the content of the reply; false when the request is not ours.
static bool write_answer(px_io *io, px_channel channel, const px_message *message,
                         const px_parent *parent, px_buf *out)
{
    px_transport *way = px_io_way(io, channel, parent);
    switch (message->type) {
    case PX_MSG_KERNEL_INFO_REQUEST:
        answer_kernel_info(io, out);
        return true;
    case PX_MSG_INTERRUPT_REQUEST:
        answer_interrupt(io, out);
        return true;
    case PX_MSG_SHUTDOWN_REQUEST:
        if (parent->door) {
            write_error(out, "PermissionError",
                        "this kernel is an engine and ends with its cluster; `pxcluster stop "
                        "--engines N` ends it alone");
        } else {
            answer_shutdown(message, out);
        }
        return true;
    case PX_MSG_CONNECT_REQUEST:
        way->ops->connection(way, out);
        return true;
    case PX_MSG_HEARTBEAT_REQUEST:
        write_ok(out);
        return true;
    case PX_MSG_ABORT_REQUEST:
        if (parent->door) {
            return false; // it is the controller's
        }
        px_abort_tasks(io, message->content);
        write_ok(out);
        return io->kernel->config.engine;
    case PX_MSG_USAGE_REQUEST:
        answer_usage(out);
        return channel == PX_CONTROL;
    case PX_MSG_CREATE_SUBSHELL_REQUEST:
    case PX_MSG_DELETE_SUBSHELL_REQUEST:
    case PX_MSG_LIST_SUBSHELL_REQUEST:
        return channel == PX_CONTROL && px_shells_answer(io, message, out);
    default:
        return false;
    }
}

// say_busy_again is for front ends that believe the last status they saw.
static void say_busy_again(px_io *io)
{
    px_interrupt *interrupt = &io->kernel->interrupt;
    px_parent *running = px_interrupt_shown(interrupt);
    px_interrupt_unlock(interrupt); // its idle can only be sent by this thread, later
    if (running != NULL) {
        px_io_status(io, running, "busy");
    }
    px_parent_unref(running);
}

void px_answer_send(px_io *io, px_channel channel, const px_parent *parent,
                    const px_outgoing *reply)
{
    px_io_status(io, parent, "busy");
    px_io_send(io, channel, parent, reply);
    px_io_status(io, parent, "idle");
    say_busy_again(io);
}

bool px_answer(px_io *io, px_channel channel, const px_message *message, const px_parent *parent)
{
    PX_AUTO_BUF content = {0};
    if (!write_answer(io, channel, message, parent, &content)) {
        return false;
    }
    px_must(px_buf_status(&content));
    bool ends = message->type == PX_MSG_SHUTDOWN_REQUEST && !parent->door;
    char type[64];
    px_reply_type(message->msg_type, type, sizeof(type));
    const px_outgoing reply = {.msg_type = type, .content = px_buf_slice(&content)};
    px_io_status(io, parent, "busy");
    px_io_send(io, channel, parent, &reply);
    if (ends) {
        px_io_send(io, PX_IOPUB, parent, &reply);
    }
    px_io_status(io, parent, "idle");
    say_busy_again(io);
    if (ends) {
        px_ending_begin(io, px_member_is(message->content, "restart", "true"));
    }
    return true;
}
