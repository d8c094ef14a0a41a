// To which shell the messages of a comm go.
//
// A front end names one subshell for all comms of a kind, so that widgets answer while a cell runs.
// But who asked the front end something through a comm waits for the answer on its own loop, and
// the main thread is where callbacks are safest. So a message goes to the shell that sent last
// through the same comm, as long as that one would serve it at once: it is idle, or its cell
// awaits. Else it goes where its header says.
//
// Messages of one comm are served in their order: while one waits, or is served, in a shell, the
// next go there too.

#include "io/member.h"
#include "io/need.h"
#include "io/subshell.h"

#include <uthash.h>

#include <stdlib.h>
#include <string.h>

static const char topic_lead[] = "comm-"; // what the topic of a comm's messages begins with

struct px_comm {
    UT_hash_handle hh;
    atomic_uint refs;      // the table's, and one for each request on its way
    atomic_uint pending;   // requests on their way
    char to[PX_UUID_SIZE]; // the shell that they go to; "": the main one
    char sender[PX_UUID_SIZE];
    size_t size;
    char id[]; // of the comm, size bytes
};

void px_comm_unref(px_comm *comm)
{
    if (comm == NULL) {
        return;
    }
    (void)atomic_fetch_sub(&comm->pending, 1);
    if (atomic_fetch_sub(&comm->refs, 1) == 1) {
        free(comm);
    }
}

static px_comm *find(px_subshells *all, px_slice id)
{
    px_comm *comm = NULL;
    if (id.size > 0) {
        HASH_FIND(hh, all->comms, id.data, id.size, comm);
    }
    return comm;
}

static px_comm *add(px_subshells *all, px_slice id)
{
    px_comm *comm = px_need_zeroed(sizeof(*comm) + id.size);
    atomic_init(&comm->refs, 1);
    comm->size = id.size;
    memcpy(comm->id, id.data, id.size);
    HASH_ADD_KEYPTR(hh, all->comms, comm->id, comm->size, comm);
    return comm;
}

// drop takes a comm out of the table; requests on their way keep it.
static void drop(px_subshells *all, px_comm *comm)
{
    HASH_DEL(all->comms, comm);
    (void)atomic_fetch_add(&comm->pending, 1); // which px_comm_unref takes off again
    px_comm_unref(comm);
}

void px_comms_forget(px_subshells *all)
{
    px_comm *comm = NULL;
    px_comm *next = NULL;
    HASH_ITER (hh, all->comms, comm, next) {
        drop(all, comm);
    }
}

void px_comms_sent(px_subshells *all, px_slice topic, const px_out *out)
{
    size_t lead = sizeof(topic_lead) - 1;
    if (all->first == NULL || topic.size <= lead || memcmp(topic.data, topic_lead, lead) != 0) {
        return;
    }
    px_slice id = px_slice_of(topic.data + lead, topic.size - lead);
    px_comm *comm = find(all, id);
    if (strcmp(out->msg_type, "comm_close") == 0) {
        if (comm != NULL) {
            drop(all, comm);
        }
        return;
    }
    if (comm == NULL) {
        comm = add(all, id);
    }
    (void)snprintf(comm->sender, sizeof(comm->sender), "%s",
                   out->parent != NULL ? out->parent->subshell : "");
}

// comm_id gives the id in a message's content, without the quotes.
static px_slice comm_id(const px_request *request)
{
    px_slice id = px_member(request->message->content, "comm_id");
    return id.size > 2 && id.data[0] == '"' ? px_slice_of(id.data + 1, id.size - 2) : (px_slice){0};
}

// find_shell gives the shell of an id, NULL for the main one; false when it is gone.
static bool find_shell(px_subshells *all, const char *id, px_subshell **ret_shell)
{
    *ret_shell = id[0] != '\0' ? px_subshells_find(all, id) : NULL;
    return id[0] == '\0' || *ret_shell != NULL;
}

// choose is the rule of this file's head.
static px_subshell *choose(px_subshells *all, px_comm *comm, px_subshell *named, bool main_idle)
{
    px_subshell *shell = NULL;
    if (atomic_load(&comm->pending) > 0 && find_shell(all, comm->to, &shell)) {
        return shell;
    }
    if (!find_shell(all, comm->sender, &shell)) {
        return named;
    }
    bool idle = shell == NULL ? main_idle : px_shell_idle(&shell->blocked, &shell->waiting);
    return idle ? shell : named;
}

px_subshell *px_comms_pick(px_subshells *all, px_request *request, px_subshell *named,
                           bool main_idle)
{
    px_comm *comm = all->comms != NULL ? find(all, comm_id(request)) : NULL;
    if (comm == NULL) {
        return named;
    }
    px_subshell *shell = choose(all, comm, named, main_idle);
    (void)snprintf(comm->to, sizeof(comm->to), "%s", shell != NULL ? shell->id : "");
    (void)atomic_fetch_add(&comm->refs, 1);
    (void)atomic_fetch_add(&comm->pending, 1);
    request->comm = comm;
    if (request->message->type == PX_MSG_COMM_CLOSE) {
        drop(all, comm);
    }
    return shell;
}
