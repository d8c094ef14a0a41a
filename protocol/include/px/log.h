// log.h: one line a decision: time, level, thread, sentence, key=value pairs, to stderr or a file
// descriptor.
//
// Library code logs at debug only; who decides, logs. Any thread; one write(2) a line, so lines
// never mix.
#ifndef PX_LOG_H
#define PX_LOG_H

typedef enum px_log_level {
    PX_LOG_DEBUG,
    PX_LOG_INFO,
    PX_LOG_WARNING,
    PX_LOG_ERROR,
    PX_LOG_OFF
} px_log_level;

// px_log_setup sets the threshold and the descriptor (kept, not owned). Default: warning, stderr.
// The environment variable PX_LOG (debug, info, warning, error, off) overrides level.
void px_log_setup(px_log_level level, int fd);

// px_log_write: event is a fixed sentence, format gives `key=value` pairs (may be empty "").
[[gnu::format(printf, 3, 4)]] void px_log_write(px_log_level level, const char *event,
                                                const char *format, ...);

#define px_log_debug(...) px_log_write(PX_LOG_DEBUG, __VA_ARGS__)
#define px_log_info(...) px_log_write(PX_LOG_INFO, __VA_ARGS__)
#define px_log_warning(...) px_log_write(PX_LOG_WARNING, __VA_ARGS__)
#define px_log_error(...) px_log_write(PX_LOG_ERROR, __VA_ARGS__)

// px_log_once answers true the first time and then every 1,000th: for what a peer could make us
// repeat.
typedef struct px_log_gate {
    unsigned long count;
} px_log_gate;
int px_log_once(px_log_gate *gate);

#endif
