// engines.c: the table of engines. It keeps the controller's own words about each engine and reads
// only what decides whether the engine may be a target.

#include "io/engines.h"

#include <stdlib.h>
#include <string.h>

static size_t place(const px_engines *engines, uint32_t id)
{
    size_t low = 0;
    size_t high = engines->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (engines->items[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const px_engine *px_engines_find(const px_engines *engines, uint32_t id)
{
    size_t at = place(engines, id);
    return at < engines->n && engines->items[at].id == id ? &engines->items[at] : NULL;
}

static px_err insert(px_engines *engines, size_t at, uint32_t id)
{
    if (engines->n == engines->capacity) {
        size_t capacity = engines->capacity == 0 ? 16 : engines->capacity * 2;
        px_engine *items = realloc(engines->items, capacity * sizeof *items);
        if (items == NULL) {
            return PX_ENOMEM;
        }
        engines->items = items;
        engines->capacity = capacity;
    }
    memmove(&engines->items[at + 1], &engines->items[at],
            (engines->n - at) * sizeof *engines->items);
    engines->items[at] = (px_engine){.id = id};
    engines->n++;
    return PX_OK;
}

static bool is_ready(const px_json *engine, const char *event)
{
    if (event != NULL && strcmp(event, "registered") == 0) {
        return true;
    }
    if (event != NULL && (strcmp(event, "dead") == 0 || strcmp(event, "left") == 0)) {
        return false;
    }
    const char *state = px_json_string(engine, "state", "");
    return strcmp(state, "spawned") != 0 && strcmp(state, "dead") != 0;
}

px_err px_engines_set(px_engines *engines, const px_json *engine, const char *event)
{
    int64_t number = px_json_int(engine, "id", -1);
    if (number < 0 || number > UINT32_MAX) {
        return PX_EFORMAT;
    }
    uint32_t id = (uint32_t)number;
    PX_AUTO_BUF json = {0};
    PX_TRY(px_json_dump(engine, &json));
    size_t at = place(engines, id);
    if (at == engines->n || engines->items[at].id != id) {
        PX_TRY(insert(engines, at, id));
    }
    px_engine *item = &engines->items[at];
    px_buf_done(&item->json);
    item->json = json;
    json = (px_buf){0};
    item->ready = is_ready(engine, event);
    return PX_OK;
}

void px_engines_lost(px_engines *engines)
{
    for (size_t i = 0; i < engines->n; i++) {
        engines->items[i].ready = false;
    }
}

void px_engines_done(px_engines *engines)
{
    for (size_t i = 0; i < engines->n; i++) {
        px_buf_done(&engines->items[i].json);
    }
    free(engines->items);
    *engines = (px_engines){0};
}
