// The one place where text becomes a number: whole text, decimal, within bounds, no locale, no
// errno.
#include "px/id.h"

#include <stdbool.h>
#include <stddef.h>

px_err px_parse_number(const char *text, long long low, long long high, long long *ret_number)
{
    long long number = 0;

    if (text == NULL) {
        return PX_EINVAL;
    }
    bool negative = *text == '-';
    const char *digit = text + (negative ? 1 : 0);
    if (*digit == '\0') {
        return PX_EINVAL;
    }
    for (; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') {
            return PX_EINVAL;
        }
        int value = *digit - '0';
        if (__builtin_mul_overflow(number, 10LL, &number) ||
            __builtin_add_overflow(number, negative ? -value : value, &number)) {
            return PX_EINVAL;
        }
    }
    if (number < low || number > high) {
        return PX_EINVAL;
    }
    *ret_number = number;
    return PX_OK;
}
