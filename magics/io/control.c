// control.c: what the controller says on the control link: news of engines and cluster, and answers
// to questions.

#include "io/internal.h"

#include "px/json.h"

#include <string.h>

static void take_engine(px_client *client, const px_json *content)
{
    const char *event = px_json_string(content, "event", "");
    const px_json *engine = px_json_get(content, "engine");
    if (strcmp(event, "dead") == 0) {
        px__lend_over(client, 0, (uint32_t)px_json_int(engine, "id", UINT32_MAX));
    }
    (void)pthread_mutex_lock(&client->lock);
    if (px_engines_set(&client->engines, engine, event) == PX_OK) {
        client->changed++;
        px__wake(client, NULL, NULL);
    }
    (void)pthread_mutex_unlock(&client->lock);
}

static void take_cluster(px_client *client, const px_json *content)
{
    PX_AUTO_BUF text = {0};
    const px_json *cluster = px_json_get(content, "cluster");
    bool has_cluster = px_json_is_object(cluster) && px_json_dump(cluster, &text) == PX_OK;
    bool stopping = strcmp(px_json_string(content, "event", ""), "stopping") == 0;
    (void)pthread_mutex_lock(&client->lock);
    if (has_cluster) {
        px_buf_done(&client->cluster);
        client->cluster = text;
        text = (px_buf){0};
    }
    client->stopping = client->stopping || stopping;
    client->changed++;
    px__wake(client, NULL, NULL);
    (void)pthread_mutex_unlock(&client->lock);
}

static void take_answer(px_client *client, const px_message *message)
{
    PX_AUTO(px_json) parent = NULL;
    if (px_json_parse(message->parent, &parent, NULL) != PX_OK) {
        return;
    }
    const char *msg_id = px_json_string(parent, "msg_id", "");
    (void)pthread_mutex_lock(&client->lock);
    for (px_ask *ask = client->asks; ask != NULL; ask = ask->next) {
        if (!ask->answered && strcmp(ask->msg_id, msg_id) == 0) {
            px_buf_append_slice(&ask->content, message->content);
            ask->answered = true;
            px__wake(client, NULL, NULL);
            break;
        }
    }
    (void)pthread_mutex_unlock(&client->lock);
}

void px__read_control(px_client *client, px_message *message)
{
    if (message->type != PX_MSG_ENGINE_NOTIFY && message->type != PX_MSG_CLUSTER_NOTIFY) {
        take_answer(client, message);
        return;
    }
    PX_AUTO(px_json) content = NULL;
    if (px_json_parse(message->content, &content, NULL) != PX_OK) {
        return;
    }
    if (message->type == PX_MSG_ENGINE_NOTIFY) {
        take_engine(client, content);
    } else {
        take_cluster(client, content);
    }
}
