// register.c: the two connections and who we are.
//
// Done by the thread that opens the connection, with a deadline and open to Ctrl-C, before
// px-client exists. The control link comes first: its answer holds the secret with which the work
// link says that it is the same peer.

#include "io/internal.h"

#include "px/enter.h"
#include "px/json.h"

#include <string.h>
#include <unistd.h>

static void take_snapshot(px_client *client, const px_json *answer)
{
    const px_json *engines = px_json_get(answer, "engines");
    for (size_t i = 0; i < px_json_length(engines); i++) {
        (void)px_engines_set(&client->engines, px_json_item(engines, i), NULL);
    }
    const px_json *cluster = px_json_get(answer, "cluster");
    if (!px_json_is_object(cluster) || px_json_dump(cluster, &client->cluster) != PX_OK) {
        px_buf_clear(&client->cluster);
        px_buf_append_str(&client->cluster, "{}");
    }
}

static px_err register_control(px_client *client, const px_client_options *options,
                               const px_entry *entry, px_buf *ret_peer, px_error *reterr)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "role", "client");
    px_jsonw_key_int(&w, "pid", getpid());
    px_jsonw_key_string(&w, "host", host);
    px_jsonw_key_string(&w, "engine", NULL);
    px_jsonw_key_string(&w, "token", NULL);
    px_jsonw_key_string(&w, "python", options->python);
    px_jsonw_end_object(&w);
    PX_TRY(px_buf_status(&content));
    PX_AUTO(px_json) answer = NULL;
    PX_TRY(px_enter(entry, PX_TUNNEL_CONTROL, px_buf_slice(&content), &client->control, &answer,
                    reterr));
    client->id = (uint32_t)px_json_int(answer, "id", 0);
    px_buf_append_str(ret_peer, px_json_string(answer, "peer", ""));
    take_snapshot(client, answer);
    return px_buf_status(ret_peer);
}

static px_err register_work(px_client *client, const px_entry *entry, px_slice peer,
                            px_error *reterr)
{
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "role", "client");
    px_jsonw_key(&w, "peer");
    px_jsonw_slice(&w, peer);
    px_jsonw_end_object(&w);
    PX_TRY(px_buf_status(&content));
    PX_AUTO(px_json) answer = NULL;
    PX_TRY(px_enter(entry, PX_TUNNEL_WORK, px_buf_slice(&content), &client->work, &answer, reterr));
    client->far = px_link_is_far(client->work);
    return PX_OK;
}

px_err px__register(px_client *client, const px_client_options *options, px_error *reterr)
{
    const px_entry entry = {.file = &client->file,
                            .session = client->composer,
                            .deadline = px_now() + options->timeout,
                            .timeout = options->timeout,
                            .interrupted = options->interrupted,
                            .context = options->interrupted_context};
    PX_AUTO_BUF peer = {0};
    PX_TRY(register_control(client, options, &entry, &peer, reterr));
    return register_work(client, &entry, px_buf_slice(&peer), reterr);
}
