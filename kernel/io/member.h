// member.h: one member of a JSON object, found without parsing the rest. For content that C only
// needs a word of: `code`, `silent`, `status`. Pure.
#ifndef PX_KERNEL_MEMBER_H
#define PX_KERNEL_MEMBER_H

#include "px/buf.h"

#include <stdbool.h>

// px_member finds the value of key in a JSON object, as it stands in the text; an empty slice when
// there is none or the text is no object. The last of equal keys wins, as in Python. Keys with
// escapes are not found.
px_slice px_member(px_slice object, const char *key);

// px_member_is tells if the value of key is exactly the JSON text value, such as `true` or
// `"error"`.
bool px_member_is(px_slice object, const char *key, const char *value);

#endif
