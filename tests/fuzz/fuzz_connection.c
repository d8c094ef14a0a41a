// A connection file: refused with a sentence, or fields that end and make sense.
#include "fuzz.h"

#include "px/connection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    px_connection c;
    px_error error = {0};

    if (px_connection_parse((const char *)data, size, "fuzz.json", &c, &error) != PX_OK) {
        must(strncmp(error.text, "fuzz.json", 9) == 0);
        return 0;
    }
    must(strcmp(c.transport, "tcp") == 0 || strcmp(c.transport, "ipc") == 0);
    must(strnlen(c.ip, sizeof(c.ip)) < sizeof(c.ip));
    must(strnlen(c.key, sizeof(c.key)) < sizeof(c.key));
    must(!c.has_curve || px_curve_valid(&c.curve));
    return 0;
}
