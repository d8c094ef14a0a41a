#include "px/id.h"

#include <uuid/uuid.h>

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

static const char hex_digits[] = "0123456789abcdef";

void px_id_new(char ret_id[PX_ID_SIZE])
{
    uuid_t uuid;
    char *out = ret_id;

    uuid_generate_random(uuid);
    for (size_t i = 0; i < sizeof(uuid); i++) {
        if (i == 4) {
            *out++ = '-';
        }
        *out++ = hex_digits[uuid[i] >> 4];
        *out++ = hex_digits[uuid[i] & 15];
    }
    *out = '\0';
}

void px_uuid_new(char ret_uuid[PX_UUID_SIZE])
{
    uuid_t uuid;

    uuid_generate_random(uuid);
    uuid_unparse_lower(uuid, ret_uuid);
}

px_err px_random_hex(char *ret_text, size_t bytes)
{
    uint8_t chunk[64];

    for (size_t done = 0; done < bytes;) {
        size_t want = bytes - done < sizeof(chunk) ? bytes - done : sizeof(chunk);
        ssize_t got = getrandom(chunk, want, 0);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return px_err_from_errno(errno);
        }
        for (size_t i = 0; i < (size_t)got; i++) {
            ret_text[2 * (done + i)] = hex_digits[chunk[i] >> 4];
            ret_text[2 * (done + i) + 1] = hex_digits[chunk[i] & 15];
        }
        done += (size_t)got;
    }
    ret_text[2 * bytes] = '\0';
    return PX_OK;
}
