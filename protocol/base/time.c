// Time stamps are made for every message, so the slow part (calendar arithmetic) is done once a
// second and thread, and the digits are written by hand.
#include "px/time.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

px_ns px_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail for this clock
    return (px_ns)now.tv_sec * PX_NS_PER_S + (px_ns)now.tv_nsec;
}

static void write_digits(char *text, unsigned number, int n_digits)
{
    for (int i = n_digits - 1; i >= 0; i--) {
        text[i] = (char)('0' + number % 10);
        number /= 10;
    }
}

void px_stamp_now(char ret_stamp[PX_STAMP_SIZE])
{
    static _Thread_local time_t cached_second = -1;
    static _Thread_local char cached[PX_STAMP_SIZE];
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); // cannot fail for this clock
    if (now.tv_sec != cached_second) {
        struct tm utc;
        (void)gmtime_r(&now.tv_sec, &utc); // fails only for years beyond int
        memcpy(cached, "0000-00-00T00:00:00.000000Z", PX_STAMP_SIZE);
        write_digits(cached, (unsigned)utc.tm_year + 1900, 4);
        write_digits(cached + 5, (unsigned)utc.tm_mon + 1, 2);
        write_digits(cached + 8, (unsigned)utc.tm_mday, 2);
        write_digits(cached + 11, (unsigned)utc.tm_hour, 2);
        write_digits(cached + 14, (unsigned)utc.tm_min, 2);
        write_digits(cached + 17, (unsigned)utc.tm_sec, 2);
        cached_second = now.tv_sec;
    }
    memcpy(ret_stamp, cached, PX_STAMP_SIZE);
    write_digits(ret_stamp + 20, (unsigned)(now.tv_nsec / 1000), 6);
}
