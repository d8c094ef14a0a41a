#include "px/id.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

static const char hex_digits[] = "0123456789abcdef";

#ifndef PX_NO_LIBUUID
#include <uuid/uuid.h>
#else
// For a build that links archives only: distributions build libuuid's for executables, not for the
// shared objects that Python's modules are. What is needed of it is a random UUID (RFC 9562, 5.4).
typedef uint8_t uuid_t[16];

static void uuid_generate_random(uuid_t ret_uuid)
{
    if (getrandom(ret_uuid, sizeof(uuid_t), 0) != (ssize_t)sizeof(uuid_t)) {
        abort(); // never for so few bytes: getrandom(2)
    }
    ret_uuid[6] = (uint8_t)((ret_uuid[6] & 0x0f) | 0x40); // version 4
    ret_uuid[8] = (uint8_t)((ret_uuid[8] & 0x3f) | 0x80); // the RFC's variant
}

static void uuid_unparse_lower(const uuid_t uuid, char *ret_text)
{
    for (size_t i = 0; i < sizeof(uuid_t); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *ret_text++ = '-';
        }
        *ret_text++ = hex_digits[uuid[i] >> 4];
        *ret_text++ = hex_digits[uuid[i] & 15];
    }
    *ret_text = '\0';
}
#endif

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
