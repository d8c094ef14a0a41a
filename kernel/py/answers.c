// What C itself says in the course of a request: statuses, replies to requests that nobody
// answered, and the chains in which they leave.

#include "py/python.h"

#include <string.h>

// content_of gives the content of a status: made once for each of the two.
static px_bytes *content_of(bool busy)
{
    static const char *const texts[] = {"{\"execution_state\":\"idle\"}",
                                        "{\"execution_state\":\"busy\"}"};
    static px_bytes *made[2];
    if (made[busy] == NULL) {
        px_must(px_bytes_copy(px_slice_str(texts[busy]), &made[busy]));
    }
    return px_bytes_ref(made[busy]);
}

px_out *px_py_status(px_parent *parent, bool busy)
{
    px_out *out = px_out_new(PX_OUT_PUBLISH, parent);
    (void)snprintf(out->msg_type, sizeof(out->msg_type), "status");
    out->content = content_of(busy);
    return out;
}

px_out *px_py_reply_of(const px_request *request, px_slice content, const char *status)
{
    px_out *out = px_out_new(PX_OUT_REPLY, request->parent);
    out->channel = request->channel;
    px_reply_type(request->message->msg_type, out->msg_type, sizeof(out->msg_type));
    px_must(px_bytes_copy(content, &out->content));
    PX_AUTO_BUF text = {0};
    px_buf_printf(
        &text, "{\"started\":\"%s\",\"dependencies_met\":true,\"engine\":\"%s\",\"status\":\"%s\"}",
        request->started, px_kernel_current->config.ident, status);
    px_must(px_buf_status(&text));
    px_must(px_bytes_copy(px_buf_slice(&text), &out->metadata));
    return out;
}

// px_py_link chains entries, leaving out NULLs.
px_out *px_py_link(px_out *const *outs, size_t n)
{
    px_out *first = NULL;
    for (size_t i = n; i-- > 0;) {
        if (outs[i] != NULL) {
            outs[i]->next = first;
            first = outs[i];
        }
    }
    return first;
}

// It says what became of a request whose handler raised, or gave no reply.
px_out *px_py_error_reply(const px_request *request, PyObject *error)
{
    PX_AUTO_BUF content = {0};
    PX_AUTO_PY PyObject *text = error != NULL ? PyObject_Str(error) : NULL;
    if (error != NULL && text == NULL) {
        PyErr_Clear();
    }
    const char *evalue = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    if (evalue == NULL) {
        PyErr_Clear();
        evalue = error == NULL ? "the request was not answered" : "";
    }
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", error != NULL ? Py_TYPE(error)->tp_name : "NoReply");
    px_jsonw_key_string(&w, "evalue", evalue);
    px_jsonw_key(&w, "traceback");
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
    px_must(px_buf_status(&content));
    return px_py_reply_of(request, px_buf_slice(&content), "error");
}

PyObject *px_py_take_error(const char *event)
{
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *traceback = NULL;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (error == NULL) {
        Py_XDECREF(type);
        Py_XDECREF(traceback);
        return NULL;
    }
    if (traceback != NULL) {
        (void)PyException_SetTraceback(error, traceback);
    }
    Py_INCREF(error);
    PyErr_Restore(type, error, traceback);
    px_py_log_exception(event);
    return error;
}
