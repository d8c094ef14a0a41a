// The list of subshells. One lock; what is in a subshell is guarded by its own parts.
//
// A deleted subshell is off the list at once, so no request finds it any more, and its thread comes
// to the exit notice behind what was posted before: it may be busy for as long as it likes, nobody
// waits for it.

#include "io/subshell.h"

#include "io/need.h"

#include <utlist.h>

#include <stdlib.h>
#include <string.h>

px_err px_subshells_init(px_subshells *all)
{
    *all = (px_subshells){0};
    return pthread_mutex_init(&all->lock, NULL) == 0 ? PX_OK : PX_ENOMEM;
}

static px_subshell *subshell_new(void)
{
    px_subshell *shell = px_need_zeroed(sizeof(*shell));
    atomic_init(&shell->refs, 1);
    px_uuid_new(shell->id);
    px_must(px_mailbox_init(&shell->inbox));
    px_must(px_waiting_init(&shell->waiting));
    return shell;
}

// drop_letters frees what nobody reads any more.
static void drop_letters(px_subshell *shell)
{
    px_letter *letter = px_mailbox_take(&shell->inbox);
    while (letter != NULL) {
        px_letter *next = letter->next;
        if (letter->kind == PX_NOTICE_REQUEST) {
            px_request_free(PX_CONTAINER(letter, px_request, letter));
        } else {
            free(letter);
        }
        letter = next;
    }
}

void px_subshell_unref(px_subshell *shell)
{
    if (shell == NULL || atomic_fetch_sub_explicit(&shell->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    drop_letters(shell);
    px_mailbox_done(&shell->inbox);
    px_waiting_done(&shell->waiting);
    free(shell);
}

// tell_exit posts the last letter.
static void tell_exit(px_subshell *shell)
{
    px_letter *letter = px_need_zeroed(sizeof(*letter));
    letter->kind = PX_NOTICE_EXIT;
    px_mailbox_post(&shell->inbox, letter);
}

px_subshell *px_subshells_create(px_subshells *all)
{
    px_subshell *shell = subshell_new();
    (void)pthread_mutex_lock(&all->lock);
    DL_APPEND(all->first, shell);
    (void)pthread_mutex_unlock(&all->lock);
    (void)atomic_fetch_add(&all->unsettled, 1);
    return shell;
}

px_subshell *px_subshells_find(px_subshells *all, const char *id)
{
    px_subshell *shell = NULL;
    (void)pthread_mutex_lock(&all->lock);
    for (shell = all->first; shell != NULL && strcmp(shell->id, id) != 0; shell = shell->next) {
    }
    (void)pthread_mutex_unlock(&all->lock);
    return shell;
}

px_err px_subshells_delete(px_subshells *all, const char *id)
{
    px_subshell *shell = px_subshells_find(all, id);
    if (shell == NULL) {
        return PX_ENOENT;
    }
    (void)pthread_mutex_lock(&all->lock);
    DL_DELETE(all->first, shell);
    bool taken = shell->taken;
    (void)pthread_mutex_unlock(&all->lock);
    if (taken) {
        (void)atomic_fetch_add(&all->unsettled, 1); // its thread is on its way out
    } else {
        (void)atomic_fetch_sub(&all->unsettled, 1); // it needs none
    }
    tell_exit(shell);
    px_subshell_unref(shell);
    if (all->first == NULL) {
        px_comms_forget(all); // nothing to choose from
    }
    return PX_OK;
}

void px_subshells_write(px_subshells *all, px_buf *out)
{
    const char *before = "[\"";
    (void)pthread_mutex_lock(&all->lock);
    for (const px_subshell *shell = all->first; shell != NULL; shell = shell->next) {
        px_buf_printf(out, "%s%s\"", before, shell->id);
        before = ",\"";
    }
    px_buf_append_str(out, all->first != NULL ? "]" : "[]");
    (void)pthread_mutex_unlock(&all->lock);
}

px_subshell *px_subshells_take(px_subshells *all)
{
    px_subshell *shell = NULL;
    (void)pthread_mutex_lock(&all->lock);
    for (shell = all->first; shell != NULL && shell->taken; shell = shell->next) {
    }
    if (shell != NULL) {
        shell->taken = true;
        (void)atomic_fetch_add(&shell->refs, 1);
    }
    (void)pthread_mutex_unlock(&all->lock);
    return shell;
}

bool px_shell_idle(const atomic_bool *blocked, px_waiting *waiting)
{
    return !atomic_load(blocked) && px_waiting_empty(waiting);
}

void px_subshells_leave(px_subshells *all)
{
    (void)pthread_mutex_lock(&all->lock);
    for (px_subshell *shell = all->first; shell != NULL; shell = shell->next) {
        tell_exit(shell);
    }
    (void)pthread_mutex_unlock(&all->lock);
}

void px_subshells_done(px_subshells *all)
{
    px_comms_forget(all);
    while (all->first != NULL) {
        px_subshell *shell = all->first;
        DL_DELETE(all->first, shell);
        px_subshell_unref(shell);
    }
    (void)pthread_mutex_destroy(&all->lock);
}
