// output.h: what engines print and show: kept in order for each slot, and turned into what a
// notebook is shown (PURE: no socket, clock, lock).
#ifndef PX_MAGICS_OUTPUT_H
#define PX_MAGICS_OUTPUT_H

#include "px/buf.h"
#include "px/err.h"
#include "px/session.h"

#include <stdbool.h>
#include <stdint.h>

// px_output is one output. Consecutive texts on the same stream are one output whose text grows.
typedef struct px_output {
    struct px_output *next;
    px_message *message; // the first message of it, owned
    bool is_stream;
    bool is_stderr;
    px_buf text; // is_stream: the whole text
} px_output;

// px_outputs is a list that owns its outputs; {0} is empty.
typedef struct px_outputs {
    px_output *first;
    px_output *last;
} px_outputs;

// px_outputs_add takes message. is_stream, is_stderr and text say what px_stream_read found. An
// output's address stays the same until the list is freed. ret_output may be NULL.
px_err px_outputs_add(px_outputs *outputs, px_message *message, px_output **ret_output);
px_err px_outputs_add_text(px_outputs *outputs, px_message *message, bool is_stderr, px_slice text);
void px_outputs_done(px_outputs *outputs);

// px_speaker remembers whose text was shown last, so that `[stdout:2] ` stands where the speaker
// changes and nowhere else. {0} is the beginning.
typedef struct px_speaker {
    bool speaking;
    bool is_stderr;
    bool midline; // the last text had no newline at its end
    uint32_t engine;
} px_speaker;

// px_speaker_breaks tells, before this engine's text is shown, that the stream that spoke last
// (ret_stderr) wants a newline: another speaks now, and the line is not finished.
bool px_speaker_breaks(const px_speaker *speaker, uint32_t engine, bool is_stderr,
                       bool *ret_stderr);
// px_speaker_say appends to out what is to be shown of text: with its prefix when the speaker
// changed.
void px_speaker_say(px_speaker *speaker, uint32_t engine, bool is_stderr, px_slice text,
                    px_buf *out);
// px_speaker_pause: something else was shown; who speaks next says so again.
void px_speaker_pause(px_speaker *speaker);

// px_output_content writes the content that a notebook is shown for a display_data,
// update_display_data or execute_result of an engine: {"metadata": {"engine": k}}, and for a result
// text/plain headed by `Out[k:n]: ` in red. PX_EJSON when content is not what it should be.
px_err px_output_content(px_msg_type type, px_slice content, uint32_t engine, px_buf *out);

#endif
