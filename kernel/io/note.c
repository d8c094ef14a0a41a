// The words of the note. The link is relative, as the notebook's front end resolves it; a file that
// is too long for an editor in a page is linked for download.

#include "io/note.h"

#include "px/json.h"

#include <stdio.h>
#include <string.h>

#define DOWNLOAD_FROM ((uint64_t)16 << 20) // bytes
#define PREVIEW ((size_t)1500)             // bytes

static void put_size(uint64_t size, px_buf *out)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    double shown = (double)size / 1000;
    size_t unit = 0;
    while (shown >= 999.95 && unit + 1 < sizeof(units) / sizeof(*units)) {
        shown /= 1000;
        unit++;
    }
    if (size < 1000) {
        px_buf_printf(out, "%u bytes", (unsigned)size);
    } else {
        px_buf_printf(out, "%.1f %s", shown, units[unit]);
    }
}

static void put_html(px_slice text, px_buf *out)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '<' || c == '&') {
            px_buf_append_str(out, c == '<' ? "&lt;" : "&amp;");
        } else if (c >= ' ' || c == '\n') {
            px_buf_append(out, &c, 1);
        }
    }
}

static const char *file_name(const px_spill_report *file)
{
    return file->link[0] != '\0' ? file->link : file->path;
}

// put_file names the file; as HTML it is a link where one leads to it.
static void put_file(const px_spill_report *file, bool html, px_buf *out)
{
    const char *name = file_name(file);
    if (!html) {
        px_buf_append_str(out, name);
    } else if (file->link[0] == '\0') {
        px_buf_append_str(out, "<code>");
        put_html(px_slice_str(name), out);
        px_buf_append_str(out, "</code>");
    } else {
        const char *download = file->written >= DOWNLOAD_FROM ? " download" : "";
        px_buf_printf(out, "<a href=\"%s\" target=\"_blank\"%s>%s</a>", name, download, name);
    }
}

// put_displays says how many displays are in the file.
static void put_displays(const px_note *note, bool html, px_buf *out)
{
    const px_spill_report *file = &note->file;
    px_buf_printf(out, "%s%llu display%s (", note->last ? "" : "So far ",
                  (unsigned long long)note->displays, note->displays == 1 ? "" : "s");
    put_size(note->missing, out);
    px_buf_append_str(out, note->displays == 1 ? ") is not shown here" : ") are not shown here");
    if (file->path[0] == '\0') {
        return;
    }
    px_buf_append_str(out, note->displays == 1 ? "; it is in " : "; they are in ");
    put_file(file, html, out);
    px_buf_append_str(out, ", one a line. The first ten of them: %kept_displays ");
    px_buf_append_str(out, file_name(file));
    px_buf_append_str(out, " 0:10");
}

static void put_sentence(const px_note *note, bool html, px_buf *out)
{
    const px_spill_report *file = &note->file;
    if (note->displays > 0) {
        put_displays(note, html, out);
    } else if (file->path[0] != '\0') {
        if (note->last) {
            put_size(note->missing, out);
            px_buf_append_str(out, " of output are not shown here; all of it is in ");
            put_file(file, html, out);
            px_buf_append_str(out, " (");
        } else {
            px_buf_append_str(out, "The output goes on in ");
            put_file(file, html, out);
            px_buf_append_str(out, " (so far ");
        }
        put_size(file->written, out);
        px_buf_append_str(out, ")");
    } else {
        px_buf_append_str(out, "This output is too long to be shown");
    }
    if (file->lost > 0) {
        px_buf_append_str(out, file->path[0] != '\0' ? ", but for " : ", and ");
        put_size(file->lost, out);
        px_buf_append_str(out, " that could not be written: ");
        if (html) {
            put_html(px_slice_str(file->cause), out);
        } else {
            px_buf_append_str(out, file->cause);
        }
    }
    px_buf_append_str(out, ".");
}

void px_note_sentence(const px_note *note, px_buf *out)
{
    put_sentence(note, false, out);
}

// put_preview shows the last lines, so that who watches sees that it goes on.
static void put_preview(px_slice text, px_buf *out)
{
    if (text.size > PREVIEW) {
        text = px_slice_of(text.data + text.size - PREVIEW, PREVIEW);
        const uint8_t *line = memchr(text.data, '\n', text.size);
        size_t skip = line != NULL ? (size_t)(line - text.data) + 1 : 0;
        while (skip < text.size && (text.data[skip] & 0xC0) == 0x80) {
            skip++;
        }
        text = px_slice_of(text.data + skip, text.size - skip);
    }
    px_buf_append_str(out, "<pre>");
    put_html(text, out);
    px_buf_append_str(out, "</pre>");
}

static void write_metadata(const px_note *note, px_jsonw *w)
{
    px_jsonw_key(w, "metadata");
    px_jsonw_object(w);
    px_jsonw_key(w, "pxkernel_output");
    px_jsonw_object(w);
    px_jsonw_key_string(w, "file", note->file.path);
    px_jsonw_key_int(w, "bytes", (int64_t)note->file.written);
    px_jsonw_key_int(w, "lost", (int64_t)note->file.lost);
    if (note->displays > 0) {
        px_jsonw_key_int(w, "displays", (int64_t)note->displays);
    }
    px_jsonw_key_bool(w, "complete", note->last);
    px_jsonw_end_object(w);
    px_jsonw_end_object(w);
}

void px_note_write(const px_note *note, px_buf *out)
{
    PX_AUTO_BUF plain = {0};
    PX_AUTO_BUF html = {0};
    PX_AUTO_BUF identity = {0};
    put_sentence(note, false, &plain);
    px_buf_append_str(&html, "<p style=\"font-style: italic\">");
    put_sentence(note, true, &html);
    px_buf_append_str(&html, "</p>");
    if (note->preview.size > 0) {
        put_preview(note->preview, &html);
    }
    px_buf_printf(&identity, "px-output-%s-%u", note->session, note->number);
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key(&w, "data");
    px_jsonw_object(&w);
    px_jsonw_key(&w, "text/plain");
    px_jsonw_slice(&w, px_buf_slice(&plain));
    px_jsonw_key(&w, "text/html");
    px_jsonw_slice(&w, px_buf_slice(&html));
    px_jsonw_end_object(&w);
    write_metadata(note, &w);
    px_jsonw_key(&w, "transient");
    px_jsonw_object(&w);
    px_jsonw_key(&w, "display_id");
    px_jsonw_slice(&w, px_buf_slice(&identity));
    px_jsonw_end_object(&w);
    px_jsonw_end_object(&w);
}
