// flight.h: PURE. Which requests each engine has and has not answered yet: (client, task) pairs.
//
// The relay alone asks and tells it. Adding, finding and taking out one cost the same at any size.
#ifndef PX_ENGINES_FLIGHT_H
#define PX_ENGINES_FLIGHT_H

#include "px/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct px_flight px_flight;

// px_flight_new: one for each engine.
px_err px_flight_new(px_flight **ret_flight);
void px_flight_free(px_flight *flight);

// px_flight_add notes a request that was sent. The same pair may be in flight more than once.
px_err px_flight_add(px_flight *flight, uint32_t client, uint64_t task);
// px_flight_take forgets one request; false when it was not in flight.
bool px_flight_take(px_flight *flight, uint32_t client, uint64_t task);
// px_flight_next takes any one request out; false when there is none. For an engine that died.
bool px_flight_next(px_flight *flight, uint32_t *ret_client, uint64_t *ret_task);
size_t px_flight_count(const px_flight *flight);
// px_flight_check tells if every invariant holds.
bool px_flight_check(const px_flight *flight);

#endif
