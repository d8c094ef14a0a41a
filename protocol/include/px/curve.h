// curve.h: CurveZMQ key pairs (RFC 26), Z85 text.
#ifndef PX_CURVE_H
#define PX_CURVE_H

#include "px/err.h"

#include <stdbool.h>

typedef struct px_curve_keys {
    char publickey[41];
    char secretkey[41];
} px_curve_keys;

px_err px_curve_new(px_curve_keys *ret_keys);
// px_curve_valid tells if both are 40 characters of Z85.
bool px_curve_valid(const px_curve_keys *keys);

#endif
