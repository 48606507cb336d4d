/* Sequences in batches: as many at a time as memory allows. Between two batches a run can end early
 * with a report about the sequences that it has finished. */
#include "verify/forward/forward_job.h"
#include "format/base/num.h"

/* ---- the monitor of a run that can end early ------------------- */

static bool wants_end(const forward_job *j)
{
    const forward_options *const o = j->options;
    return o->finish && j->batch < o->sequences && o->finish(o->finish_ctx);
}

/* Is called by the thread of the run, which may print notes. */
static void on_advance(void *ctx, uint64_t bytes)
{
    forward_job *const j = ctx;
    monitor_advance(j->outer, bytes);
    if (!j->told && wants_end(j)) {
        j->told = true;
        monitor_note(j->outer,
                     "ending after the sequences in work (%zu); interrupt again to stop now",
                     j->sides[SIDE_PACKED].run.sequences);
    }
}

/* What asks for an early end does not cancel the batch in work. */
static bool on_cancelled(void *ctx)
{
    const forward_job *const j = ctx;
    return monitor_cancelled(j->outer) && !wants_end(j);
}

static void on_note(void *ctx, const char *text)
{
    const forward_job *const j = ctx;
    monitor_note(j->outer, "%s", text);
}

void forward_watch(forward_job *j, const monitor *m)
{
    j->outer = m;
    j->monitor =
        (monitor){.advance = on_advance, .cancelled = on_cancelled, .note = on_note, .ctx = j};
}

/* ---- batches --------------------------------------------------- */

static err_code embed(forward_job *j, err *e)
{
    const int32_t *const ids = j->options->ids + j->first * j->options->length;
    coverage_add_tokens(&j->report->coverage, ids, forward_tokens(j));
    for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
        for (unsigned i = 0; i < j->sides[s].run.track_count; i++) {
            TRY(run_embed(&j->sides[s].run, i, ids, e));
        }
        monitor_advance(&j->monitor,
                        forward_has(j, s) ? forward_slot_bytes(j, s, SLOT_EMBEDDING) : 0);
    }
    return OK;
}

static err_code one_batch(forward_job *j, err *e)
{
    j->sides[SIDE_PACKED].undefined = false; /* that was the head of the last batch */
    TRY(embed(j, e));
    TRY(j->start(j, e));
    for (unsigned i = 0; i < forward_config(j)->layers; i++) {
        TRY(j->layer(j, i, e));
    }
    return forward_logits(j, e);
}

/* As if every tensor were read once for each batch: the embedding is read by rows, and the head for
 * each block of tokens, but they count once. */
static uint64_t bytes_to_read(const forward_job *j)
{
    uint64_t bytes = 0;
    for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
        bytes += forward_has(j, s) ? store_bytes(j->sides[s].run.store) : 0;
    }
    return bytes * num_ceil_div(j->options->sequences, j->batch);
}

err_code forward_batches(forward_job *j, err *e)
{
    const size_t all = j->options->sequences;
    monitor_stage(j->outer, "forward", bytes_to_read(j));
    for (; j->first < all && !(j->first > 0 && wants_end(j)); j->first += j->batch) {
        const size_t count = num_min(j->batch, all - j->first);
        for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
            j->sides[s].run.sequences = count;
        }
        TRY(one_batch(j, e));
        j->report->sequences = j->first + count;
    }
    return OK;
}
