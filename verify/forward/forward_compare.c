/* A source, its packed model and the ideal file, side by side (spec/forward.md section 8). */
#include "verify/forward/forward_compare.h"

#include <math.h>

/* ---- tracks ---------------------------------------------------- */

static void plan_source(forward_job *j)
{
    const forward_options *const o = j->options;
    const bool experts = forward_config(j)->experts > 0;
    track t = {.slope = o->slopes[0], .decode = !o->prefill, .scored = experts};
    forward_add_track(j, SIDE_SOURCE, 0, OWN, t);
    if (forward_both_modes(j)) {
        t.decode = true;
        t.scored = false;
        forward_add_track(j, SIDE_SOURCE, 0, DECODED, t);
    }
}

/* The tracks of one variant of a side. The ideal file is what the source should have become: it has
 * the source's slopes. */
static void plan_variant(forward_job *j, forward_side side, unsigned f)
{
    const forward_options *const o = j->options;
    const bool experts = forward_config(j)->experts > 0;
    const track own = {.fp8 = j->report->variants[f].fp8,
                       .slope = o->slopes[side != SIDE_IDEAL],
                       .decode = !o->prefill};
    track local = own;
    local.forced = forward_source_experts(j);
    local.scored = experts;
    forward_add_track(j, side, f, OWN, own);
    forward_add_track(j, side, f, LOCAL, local);
    if (side == SIDE_PACKED && experts) {
        track choice = own;
        choice.choice = forward_source_experts(j);
        forward_add_track(j, side, f, CHOICE, choice);
    }
    if (side == SIDE_PACKED && forward_both_modes(j)) {
        track decoded = own;
        decoded.decode = true;
        forward_add_track(j, side, f, DECODED, decoded);
    }
}

static bool is_wanted(const forward_job *j, forward_side side)
{
    return side == SIDE_PACKED || (side == SIDE_IDEAL && j->options->ideal == IDEAL_COMPUTED) ||
           (side == SIDE_VERSUS && j->options->versus);
}

static void plan_tracks(forward_job *j)
{
    plan_source(j);
    for (forward_side s = SIDE_PACKED; s < SIDES; s++) {
        for (unsigned f = 0; f < j->report->variant_count && is_wanted(j, s); f++) {
            plan_variant(j, s, f);
        }
    }
}

/* ---- the whole ------------------------------------------------- */

static err_code check_shapes(const forward_job *j, forward_side side, err *e)
{
    const model_config *const a = &j->sides[SIDE_SOURCE].run.config;
    const model_config *const b = &j->sides[side].run.config;
    bool same = a->hidden == b->hidden && a->layers == b->layers && a->vocab == b->vocab &&
                a->experts == b->experts && a->top_k == b->top_k;
    for (unsigned i = 0; i < a->layers && same; i++) {
        same = model_has_experts(a, i) == model_has_experts(b, i);
    }
    if (!same) {
        return err_set(e, ERR_DIFFERENT, "%s and %s: models of different shapes cannot be compared",
                       j->sides[side].run.store->path, j->sides[SIDE_SOURCE].run.store->path);
    }
    return OK;
}

/* The ideal file has the tensors of the packed one and the configuration of the source. */
static err_code prepare_ideal(forward_job *j, err *e)
{
    model_side *const s = &j->sides[SIDE_IDEAL];
    if (!model_config_same(forward_config(j), &j->sides[SIDE_SOURCE].run.config, NULL, NULL)) {
        return err_set(e, ERR_DIFFERENT, "%s and %s: models with different configurations",
                       j->sides[SIDE_PACKED].run.store->path,
                       j->sides[SIDE_SOURCE].run.store->path);
    }
    s->run = j->sides[SIDE_PACKED].run;
    s->run.config = j->sides[SIDE_SOURCE].run.config;
    s->run.reader.ctx = s;
    s->run.tracks = s->tracks;
    return ideal_open(j->sides[SIDE_SOURCE].run.store, s->run.store, j->options->threads,
                      &j->monitor, &s->ideal, e);
}

static err_code prepare(forward_job *j, store *source, store *packed, ops *o, err *e)
{
    TRY(forward_side_prepare(j, SIDE_SOURCE, source, o, e));
    TRY(forward_side_prepare(j, SIDE_PACKED, packed, o, e));
    TRY(check_shapes(j, SIDE_PACKED, e));
    if (is_wanted(j, SIDE_IDEAL)) {
        TRY(prepare_ideal(j, e));
    }
    if (is_wanted(j, SIDE_VERSUS)) {
        TRY(forward_side_prepare(j, SIDE_VERSUS, j->options->versus, o, e));
        TRY(check_shapes(j, SIDE_VERSUS, e));
    }
    plan_tracks(j);
    for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
        j->sides[s].run.watch = (part_watch){.done = forward_part_done, .ctx = &j->sides[s]};
    }
    return forward_job_open(j, e);
}

err_code forward_compare(store *source, store *packed, const forward_options *options, ops *o,
                         const monitor *m, forward_report *out, err *e)
{
    forward_job j = {.options = options,
                     .report = out,
                     .start = forward_compare_start,
                     .layer = forward_compare_layer};
    err_code code = OK;
    forward_watch(&j, m);
    forward_job_begin(&j);
    out->ideal = options->ideal;
    out->versus = options->versus != NULL;
    TRY_OUT(prepare(&j, source, packed, o, e));
    TRY_OUT(forward_batches(&j, e));
    TRY_OUT(forward_compare_finish(&j, e));
out:
    code = store_end(source, &j.monitor, code, e);
    code = options->versus ? store_end(options->versus, &j.monitor, code, e) : code;
    return forward_job_end(&j, store_end(packed, &j.monitor, code, e), e);
}
