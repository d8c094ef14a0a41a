// time.h: monotonic nanoseconds inside, ISO-8601 only on the wire. Any thread.
#ifndef PX_TIME_H
#define PX_TIME_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t px_ns;

#define PX_NS_PER_MS UINT64_C(1000000)
#define PX_NS_PER_S UINT64_C(1000000000)

// px_now is the monotonic clock.
px_ns px_now(void);

// PX_STAMP_SIZE holds `2026-01-31T12:34:56.789012Z` and its end.
#define PX_STAMP_SIZE 28
// px_stamp_now writes the present time, UTC with microseconds (messaging spec, header `date`).
void px_stamp_now(char ret_stamp[PX_STAMP_SIZE]);

#endif
