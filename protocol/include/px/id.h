// id.h: identifiers. libuuid gives one session id per process; message ids count up from it.
#ifndef PX_ID_H
#define PX_ID_H

#include "px/err.h"

#include <stddef.h>

// px_id_new writes a random UUID as 32 hex digits, in jupyter_client's form 8-24 (34 bytes with
// dash and end).
#define PX_ID_SIZE 34
void px_id_new(char ret_id[PX_ID_SIZE]);

// px_uuid_new writes a random UUID in the usual 36 character form.
#define PX_UUID_SIZE 37
void px_uuid_new(char ret_uuid[PX_UUID_SIZE]);

// px_random_hex fills text with 2*bytes hex digits of the system's random numbers, and the end.
px_err px_random_hex(char *ret_text, size_t bytes);

// px_parse_number reads a whole decimal number in [low, high]; PX_EINVAL otherwise.
px_err px_parse_number(const char *text, long long low, long long high, long long *ret_number);

#endif
