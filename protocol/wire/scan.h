// scan.h (internal): a strict scanner of one JSON object that builds nothing: what the header of
// every message goes through.
#ifndef PX_SCAN_H
#define PX_SCAN_H

#include "px/buf.h"
#include "px/err.h"

// px__member is a member of the object: key as it stands between its quotes, value as it stands in
// the text.
typedef void px__member(void *context, px_slice key, px_slice value);

// px__scan_object checks that text is exactly one JSON object (RFC 8259: grammar, UTF-8, at most 64
// levels) and calls member for each of its own members in order. PX_EJSON with position and cause
// otherwise; members seen before the fault were reported already.
px_err px__scan_object(px_slice text, px__member *member, void *context, px_error *reterr);

// px__scan_string decodes a scanned string value (with its quotes) into out, with an end. false
// when it is not a string, holds NUL or a lone surrogate. out needs value.size bytes.
bool px__scan_string(px_slice value, char *out);

#endif
