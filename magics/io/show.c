// show.c: engines' outputs into the notebook, while the cell that asked for them waits.
//
// The kernel of this process offers functions in a capsule (px/kernel_api.h); they may be called
// from any thread and need no Python, so an output shows although the main thread is blocked.
// Called by who reads the work link, one output at a time: the order of arrival is the order in the
// notebook.

#include "io/internal.h"

#include "px/json.h"

static const char *stream_name(bool is_stderr)
{
    return is_stderr ? "stderr" : "stdout";
}

void px__show_text(px_task *task, uint32_t engine, bool is_stderr, px_slice text)
{
    const px_kernel_api *api = task->api;
    if (!task->prefix) {
        api->stream(task->parent, stream_name(is_stderr), text);
        return;
    }
    if (text.size == 0) {
        return;
    }
    bool break_stderr = false;
    if (px_speaker_breaks(&task->speaker, engine, is_stderr, &break_stderr)) {
        api->stream(task->parent, stream_name(break_stderr), PX_SLICE_LITERAL("\n"));
    }
    PX_AUTO_BUF out = {0};
    px_speaker_say(&task->speaker, engine, is_stderr, text, &out);
    if (px_buf_status(&out) == PX_OK && out.size > 0) {
        api->stream(task->parent, stream_name(is_stderr), px_buf_slice(&out));
    }
}

static void show_object(px_task *task, uint32_t engine, const px_message *message)
{
    PX_AUTO_BUF content = {0};
    PX_AUTO_BUF metadata = {0};
    if (px_output_content(message->type, message->content, engine, &content) != PX_OK) {
        return;
    }
    px_buf_printf(&metadata, "{\"engine\": %u}", engine);
    px_bytes *buffers[PX_LINK_MAX_FRAMES];
    for (size_t i = 0; i < message->n_buffers; i++) {
        buffers[i] = px_frames_at(&message->frames, message->first_buffer + i);
    }
    const char *type =
        message->type == PX_MSG_UPDATE_DISPLAY_DATA ? "update_display_data" : "display_data";
    task->api->publish(task->parent, type, px_buf_slice(&content), px_buf_slice(&metadata), buffers,
                       message->n_buffers);
}

void px__show(px_task *task, uint32_t engine, const px_message *message)
{
    switch (message->type) {
    case PX_MSG_DISPLAY_DATA:
    case PX_MSG_UPDATE_DISPLAY_DATA:
    case PX_MSG_EXECUTE_RESULT:
        px_speaker_pause(&task->speaker);
        show_object(task, engine, message);
        break;
    case PX_MSG_CLEAR_OUTPUT:
        px_speaker_pause(&task->speaker);
        task->api->publish(task->parent, "clear_output", message->content, (px_slice){0}, NULL, 0);
        break;
    default:
        break; // errors are the Python side's to show; comms have no front end here
    }
}
