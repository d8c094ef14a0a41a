// Z85 (ZeroMQ RFC 32) as far as checking goes. Apart from curve.c, so that who only reads a
// connection file does not need ZeroMQ.
#include "px/curve.h"

#include <stdint.h>
#include <string.h>

static bool valid_text(const char *text)
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   ".-:+=^!/*?&<>()[]{}@%$#";
    uint64_t group = 0;

    if (memchr(text, '\0', 41) != text + 40) {
        return false;
    }
    for (int i = 0; i < 40; i++) {
        const char *place = strchr(alphabet, text[i]);
        if (place == NULL) {
            return false;
        }
        group = (i % 5 == 0 ? 0 : group * 85) + (uint64_t)(place - alphabet);
        if (group > UINT32_MAX) {
            return false;
        }
    }
    return true;
}

bool px_curve_valid(const px_curve_keys *keys)
{
    return valid_text(keys->publickey) && valid_text(keys->secretkey);
}
