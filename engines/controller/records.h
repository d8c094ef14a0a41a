// records.h: what px-store remembers of requests: of those under way all, of those that are done as
// much as fits. Thread px-store only.
//
// A record is made of what passed: request and reply as they were handed over, and outputs as
// bytes. Nobody reads them before somebody asks: then the request's header is parsed and the record
// has a name, its message's id. A request to several engines makes a record for each, named
// `<msg_id>_<engine>`.
//
// What is done stands in one of three lists, oldest first, each with limits of its own: the oldest
// go. `delivered`: its client was there to receive it; `large`: the same, of more than 256 KiB;
// `kept`: nobody has it yet, so its limits are far higher.
#ifndef PX_ENGINES_RECORDS_H
#define PX_ENGINES_RECORDS_H

#include "intake.h"

#include "px/buf.h"
#include "px/err.h"
#include "px/frames.h"
#include "px/time.h"

#include <uthash.h>

// px_follower is a client that wants to hear what comes of another's request, as task of its own.
typedef struct px_follower {
    struct px_follower *next;
    uint32_t client;
    uint64_t task;
} px_follower;

typedef struct px_record {
    struct px_record_key {
        uint64_t task;
        uint32_t client;
        uint32_t engine; // PX_NOWHERE: the controller chose
    } key;
    uint32_t ran; // the engine that answered; PX_NOWHERE: none yet
    bool shared;  // one of several engines that got the same message
    bool done;    // a reply or a loss is here
    bool delivered;
    bool failed;                  // status not ok, or lost
    bool dropped;                 // its result was too large to be kept
    bool foreign;                 // named: no apply or execute request, or a client's own affair
    uint8_t first;                // the delimiter among the request's frames
    char received[PX_STAMP_SIZE]; // of the end, when done
    px_kept *request;
    px_kept *end;   // REPLY or LOST; NULL before that
    px_buf outputs; // packed (pack.h)
    char *msg_id;   // NULL before it is named, as the next two
    char *session, *submitted;
    char *resubmitted; // id of the request that repeats it
    px_follower *followers;
    size_t bytes;
    struct px_record *prev, *next; // in the list that it stands in
    UT_hash_handle by_key, by_id;
} px_record;

typedef struct px_record_list {
    px_record *head;
    size_t n, bytes;
} px_record_list;

#define PX_RECORD_LARGE ((size_t)256 << 10)

// px_records: {0} is empty.
typedef struct px_records {
    px_record *by_key, *by_id;
    px_record_list open, delivered, large, kept;
    size_t n_unnamed;
} px_records;

// px_records_request makes the records of a request. A malformed one is ignored: the engine refuses
// it too.
px_err px_records_request(px_records *records, px_kept *kept);
// px_records_find finds the open record of a task, or a done one; engine PX_NOWHERE or the one that
// spoke. NULL: not known.
px_record *px_records_find(const px_records *records, uint32_t client, uint64_t task,
                           uint32_t engine);
// px_records_output notes an output; of more than 4 MiB of them the rest is left out.
void px_records_output(px_records *records, px_record *record, const px_kept *kept);
// px_records_done notes the end: a reply or a loss.
void px_records_done(px_records *records, px_record *record, px_kept *kept);
// px_records_client_gone: what was delivered to a client has no other copy now.
void px_records_client_gone(px_records *records, uint32_t client);
// px_records_name gives every record its name, and forgets those that are no apply or execute
// request and done.
void px_records_name(px_records *records);
px_record *px_records_by_id(px_records *records, const char *msg_id); // names them first
void px_records_forget(px_records *records, px_record *record);
void px_records_free(px_records *records);

// px_record_follow adds a follower. PX_ENOMEM.
px_err px_record_follow(px_record *record, uint32_t client, uint64_t task);
// The four parts of the request, borrowed: header, parent, metadata, content are parts 0 to 3.
px_slice px_record_request(const px_record *record, size_t part);
bool px_record_replied(const px_record *record); // its end is a reply, not a loss
// px_record_pack appends request (from its delimiter on) and reply, packed. Without their buffers
// where those stood as segments of a client, and where the record was lightened.
void px_record_pack(const px_record *record, px_buf *request, px_buf *reply);
// px_record_json appends the record as ipyparallel's database has it, as an object.
void px_record_json(const px_record *record, px_buf *out);

#endif
