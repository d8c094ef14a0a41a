// match.h: PURE. Queries over records of tasks, in ipyparallel's little language: {key: value} is
// equality, {key: {"$op": value}} a comparison; all must hold. The controller and pxfront use it.
//
// Operators: $eq $ne $lt $lte $gt $gte $in $nin $all $mod $exists $glob. Dates are compared as
// points of time, since who asks may write them in another zone.
#ifndef PX_ENGINES_MATCH_H
#define PX_ENGINES_MATCH_H

#include "px/err.h"
#include "px/json.h"

#include <stdbool.h>

// px_match tells if a record fits a query (NULL: every one does). PX_EINVAL with a sentence: an
// operator or a key that there is not.
px_err px_match(const px_json *query, const px_json *record, bool *ret_fits, px_error *reterr);

// px_match_asked tells if a member is among keys (NULL or null: all are); msg_id always is.
bool px_match_asked(const px_json *keys, const char *key);

// px_match_select appends the record as an object of the members that keys asks for, left open for
// more: the caller ends it.
void px_match_select(const px_json *record, const px_json *keys, px_jsonw *w);

#endif
