// fields.h (internal): members of a JSON file that a person may have written, into fixed fields,
// with messages that name file and key.
#ifndef PX_FIELDS_H
#define PX_FIELDS_H

#include "px/json.h"

typedef struct px__fields {
    const px_json *object;
    const char *path; // for messages
    px_error *reterr;
} px__fields;

// px__field_text copies a string of fewer than size bytes; absent or null leaves target alone.
px_err px__field_text(const px__fields *fields, const char *key, char *target, size_t size);
// px__field_int reads a whole number in [low, high]; absent or null leaves target alone.
px_err px__field_int(const px__fields *fields, const char *key, int64_t low, int64_t high,
                     int64_t *target);

#endif
