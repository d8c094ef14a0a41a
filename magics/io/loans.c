// loans.c: large buffers of requests on their way into lent segments, and back (lend.h has the
// books; this does the copying, without the lock).

#include "io/internal.h"

#include "px/bulk.h"

#include <stdlib.h>

// end_loans frees what is over.
static void end_loans(px_client *client, px_loan *over)
{
    bool any = over != NULL;
    px_segment *segment = NULL;
    do {
        (void)pthread_mutex_lock(&client->lock);
        segment = px_lending_end(&client->lending, &over, px_now());
        (void)pthread_mutex_unlock(&client->lock);
        px_segment_free(segment);
    } while (segment != NULL);
    if (any) {
        px__client_kick(client); // it minds how long they lie idle
    }
}

void px__lend_over(px_client *client, uint64_t task, uint32_t engine)
{
    (void)pthread_mutex_lock(&client->lock);
    px_loan *over = px_lending_returned(&client->lending, task, engine);
    (void)pthread_mutex_unlock(&client->lock);
    end_loans(client, over);
}

void px__lend_settle(px_task *task)
{
    px_client *client = task->client;
    if (!task->lends) {
        return;
    }
    (void)pthread_mutex_lock(&client->lock);
    uint32_t engine = task->abandoned ? PX_LEND_NO_ENGINE : task->own_engine;
    px_loan *over = px_lending_settle(&client->lending, task->entry.id, engine);
    (void)pthread_mutex_unlock(&client->lock);
    end_loans(client, over);
}

void px__lend_enter(px_client *client, px_task *task, px_loan *loan)
{
    (void)pthread_mutex_lock(&client->lock);
    px_lending_enter(&client->lending, loan, task->entry.id);
    task->lends = true;
    (void)pthread_mutex_unlock(&client->lock);
}

void px__lend_cancel(px_client *client, px_loan *loan)
{
    end_loans(client, loan);
}

// lender is what make needs: whose segments, and the loan that they go into.
typedef struct lender {
    px_client *client;
    px_loan *loan;
} lender;

static void unlend(px_client *client, px_lent *lent)
{
    (void)pthread_mutex_lock(&client->lock);
    px_segment *segment = px_lending_unlend(&client->lending, lent, px_now());
    (void)pthread_mutex_unlock(&client->lock);
    px_segment_free(segment);
}

// same gives a segment that is out and holds these bytes already; NULL when there is none.
static px_lent *same(px_client *client, px_slice bytes)
{
    (void)pthread_mutex_lock(&client->lock);
    px_lent *lent = px_lending_same(&client->lending, bytes);
    (void)pthread_mutex_unlock(&client->lock);
    if (lent != NULL && !px_segment_holds(lent->segment, bytes)) {
        unlend(client, lent);
        lent = NULL;
    }
    return lent;
}

// fill gives a segment that holds bytes now. PX_ENOMEM, PX_ESYS.
static px_err fill(px_client *client, px_slice bytes, px_lent **ret_lent)
{
    px_segment_ref ref;
    (void)pthread_mutex_lock(&client->lock);
    px_segment *segment = px_pool_take(&client->lending.pool, bytes.size);
    (void)pthread_mutex_unlock(&client->lock);
    PX_TRY(px_pool_fill(&segment, bytes, &ref));
    (void)pthread_mutex_lock(&client->lock);
    px_err err = px_lending_out(&client->lending, segment, &ref, bytes.data, ret_lent);
    (void)pthread_mutex_unlock(&client->lock);
    if (err != PX_OK) {
        px_segment_free(segment);
    }
    return err;
}

// make is a px_bulk_make.
static px_err make(void *context, px_slice bytes, px_segment_ref *ret_ref)
{
    const lender *l = context;
    px_lent *lent = same(l->client, bytes);
    if (lent == NULL && fill(l->client, bytes, &lent) != PX_OK) {
        return PX_EAGAIN;
    }
    *ret_ref = lent->ref;
    if (px_loan_add(l->loan, lent) != PX_OK) {
        unlend(l->client, lent);
        return PX_EAGAIN;
    }
    return PX_OK;
}

px_err px__lend_pack(px_client *client, const px_targets *targets, px_frames *buffers,
                     px_bulk *ret_bulk, px_loan **ret_loan)
{
    lender l = {.client = client};
    bool packed = false;
    bool known = targets != NULL;
    PX_TRY(px_loan_new(known ? targets->engines : NULL, known ? targets->n : 0, &l.loan));
    px_err err = px_bulk_pack_with(buffers, 0, ret_bulk, make, &l, &packed);
    if (err != PX_OK || l.loan->n_lent == 0) {
        end_loans(client, l.loan);
        return err;
    }
    *ret_loan = l.loan;
    return PX_OK;
}
