// JSON text: what is read and written again reads as the same; strings of any bytes can be written.
#include "fuzz.h"

#include "px/json.h"

static void round_trip(px_slice text)
{
    PX_AUTO(px_json) json = NULL;
    PX_AUTO(px_json) again = NULL;
    PX_AUTO_BUF once = {0};
    PX_AUTO_BUF twice = {0};
    px_error error = {0};

    if (px_json_parse(text, &json, &error) != PX_OK) {
        must(error.text[0] != '\0');
        return;
    }
    must(px_json_dump(json, &once) == PX_OK);
    must(px_json_parse(px_buf_slice(&once), &again, NULL) == PX_OK);
    must(px_json_dump(again, &twice) == PX_OK);
    must(px_slice_equal(px_buf_slice(&once), px_buf_slice(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PX_AUTO(px_json) json = NULL;
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);

    round_trip(px_slice_of(data, size));
    px_jsonw_slice(&w, px_slice_of(data, size));
    must(px_buf_status(&out) == PX_OK);
    must(px_json_parse(px_buf_slice(&out), &json, NULL) == PX_OK);
    must(px_json_is_string(json));
    return 0;
}
