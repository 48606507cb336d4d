/* A source, its packed model and the ideal file, side by side (spec/forward.md section 8). */
#include <math.h>
#include <string.h>

#include "verify/forward/forward_job.h"

/* The states of the source on the host. BEFORE and AFTER change places from layer to layer. */
enum { WITHIN = 2, WORK = 3, OTHER = STATES - 1 };

static float *before(const forward_job *j, unsigned layer)
{
    return j->states[layer % 2];
}

static float *after(const forward_job *j, unsigned layer)
{
    return j->states[(layer + 1) % 2];
}

/* The states of a LOCAL track after attention. */
static float *attended(const forward_job *j, forward_side side, unsigned variant)
{
    return j->states[STATES + (size_t)side * FORWARD_VARIANTS + variant];
}

static size_t state_floats(const forward_job *j)
{
    return forward_tokens(j) * forward_config(j)->hidden;
}

static track *track_of(forward_job *j, forward_side side, unsigned variant, track_kind kind)
{
    return &j->sides[side].tracks[j->sides[side].number[variant][kind]];
}

static unsigned number_of(const forward_job *j, forward_side side, unsigned variant,
                          track_kind kind)
{
    return (unsigned)j->sides[side].number[variant][kind];
}

/* The experts that the source chooses in the current layer. */
static const routing *source_experts(forward_job *j)
{
    return &track_of(j, SIDE_SOURCE, 0, OWN)->selected;
}

/* ---- tracks ---------------------------------------------------- */

static bool both_modes(const forward_job *j)
{
    return j->options->prefill && j->options->decode;
}

static void plan_source(forward_job *j)
{
    const forward_options *const o = j->options;
    const bool experts = forward_config(j)->experts > 0;
    track t = {.slope = o->slopes[0], .decode = !o->prefill, .scored = experts};
    forward_add_track(j, SIDE_SOURCE, 0, OWN, t);
    if (both_modes(j)) {
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
    local.forced = source_experts(j);
    local.scored = experts;
    forward_add_track(j, side, f, OWN, own);
    forward_add_track(j, side, f, LOCAL, local);
    if (side == SIDE_PACKED && experts) {
        track choice = own;
        choice.choice = source_experts(j);
        forward_add_track(j, side, f, CHOICE, choice);
    }
    if (side == SIDE_PACKED && both_modes(j)) {
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

/* ---- parts of a layer ------------------------------------------ */

/* A part of a side is done: measure its LOCAL track, whose input was `in` and should be `out` now.
 * The packed model comes before the ideal file, and its states are still there. */
static err_code measure_part(forward_job *j, forward_side side, unsigned f, model_part part,
                             unsigned layer, const float *in, const float *out, float *found,
                             err *e)
{
    const size_t n = state_floats(j);
    part_tally *const t = forward_part(j, f, part, layer);
    TRY(forward_take(j, side, number_of(j, side, f, LOCAL), layer, found, e));
    part_add(t, side, in, out, found, n);
    if (side == SIDE_IDEAL) {
        const float *packed = attended(j, SIDE_PACKED, f);
        if (part == PART_MLP) {
            TRY(forward_take(j, SIDE_PACKED, number_of(j, SIDE_PACKED, f, LOCAL), layer,
                             j->states[OTHER], e));
            packed = j->states[OTHER];
        }
        part_add_distance(t, packed, found, n);
    }
    return OK;
}

static err_code attention_done(forward_job *j, forward_side side, unsigned f, unsigned layer,
                               err *e)
{
    TRY(measure_part(j, side, f, PART_ATTENTION, layer, before(j, layer), j->states[WITHIN],
                     attended(j, side, f), e));
    forward_give(j, side, number_of(j, side, f, LOCAL), j->states[WITHIN]);
    return OK;
}

static void router_done(forward_job *j, forward_side side, unsigned f, unsigned layer)
{
    const size_t n = forward_tokens(j) * forward_config(j)->experts;
    part_tally *const t = forward_part(j, f, PART_ROUTER, layer);
    const float *const scores = track_of(j, side, f, LOCAL)->scores;
    part_add(t, side, NULL, track_of(j, SIDE_SOURCE, 0, OWN)->scores, scores, n);
    if (side == SIDE_IDEAL) {
        part_add_distance(t, track_of(j, SIDE_PACKED, f, LOCAL)->scores, scores, n);
    }
}

/* The increments of attention and MLP together are that of the layer. */
static void add_local(forward_job *j, forward_side side, unsigned f, unsigned layer)
{
    const size_t n = state_floats(j);
    hidden_sums *const sums = &j->tallies[f].layers[layer].local[side];
    hidden_sums_add_increments(sums, before(j, layer), j->states[WITHIN], after(j, layer),
                               attended(j, side, f), j->states[WORK], n);
}

static err_code mlp_done(forward_job *j, forward_side side, unsigned f, unsigned layer, err *e)
{
    TRY(measure_part(j, side, f, PART_MLP, layer, j->states[WITHIN], after(j, layer),
                     j->states[WORK], e));
    add_local(j, side, f, layer);
    return OK;
}

/* The source has run the whole layer when the others begin with it. */
static err_code subject_done(forward_job *j, forward_side side, unsigned layer, model_part part,
                             err *e)
{
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        forward_part(j, f, part, layer)->undefined |= j->sides[SIDE_PACKED].undefined;
        switch (part) {
        case PART_ATTENTION:
            TRY(attention_done(j, side, f, layer, e));
            break;
        case PART_ROUTER:
            router_done(j, side, f, layer);
            break;
        default:
            TRY(mlp_done(j, side, f, layer, e));
        }
    }
    j->sides[SIDE_PACKED].undefined = false;
    return OK;
}

static err_code part_done(void *ctx, unsigned layer, model_part part, err *e)
{
    const model_side *const s = ctx;
    forward_job *const j = s->job;
    const forward_side side = (forward_side)(s - j->sides);
    if (side != SIDE_SOURCE) {
        return subject_done(j, side, layer, part, e);
    }
    if (part == PART_ROUTER) {
        coverage_add_experts(&j->report->coverage, layer, source_experts(j),
                             forward_tokens(j) * forward_config(j)->top_k);
    }
    return part == PART_ATTENTION ? forward_take(j, SIDE_SOURCE, number_of(j, SIDE_SOURCE, 0, OWN),
                                                 layer, j->states[WITHIN], e)
                                  : OK;
}

/* ---- own states ------------------------------------------------ */

/* Compare the own states of the ideal file with those of the packed model in states[WORK]. Packed
 * tensors that only the packed model's own choice of experts uses are in no part. */
static err_code compare_ideal(forward_job *j, unsigned f, unsigned layer, err *e)
{
    int64_t *const unequal = &j->report->variants[f].unequal_layer;
    TRY(forward_take(j, SIDE_IDEAL, number_of(j, SIDE_IDEAL, f, OWN), layer, j->states[OTHER], e));
    if (memcmp(j->states[OTHER], j->states[WORK], state_floats(j) * sizeof(float)) != 0) {
        *unequal = *unequal < 0 || layer < *unequal ? layer : *unequal;
    }
    return OK;
}

static err_code measure_own(forward_job *j, unsigned f, unsigned layer, err *e)
{
    layer_tally *const t = &j->tallies[f].layers[layer];
    TRY(forward_take(j, SIDE_PACKED, number_of(j, SIDE_PACKED, f, OWN), layer, j->states[WORK], e));
    hidden_sums_add(&t->own, after(j, layer), j->states[WORK], state_floats(j));
    if (model_has_experts(forward_config(j), layer)) {
        t->same_experts +=
            forward_same_experts(j, source_experts(j), &track_of(j, SIDE_PACKED, f, OWN)->selected);
    }
    if (forward_has(j, SIDE_IDEAL)) {
        TRY(compare_ideal(j, f, layer, e));
    }
    return both_modes(j)
               ? forward_compare_modes(j, SIDE_PACKED, number_of(j, SIDE_PACKED, f, DECODED), layer,
                                       j->states[WORK], e)
               : OK;
}

/* Write the packed model's own states and selected experts, of the first variant, to the dump. */
static err_code dump_layer(forward_job *j, unsigned layer, err *e)
{
    TRY(forward_take(j, SIDE_PACKED, number_of(j, SIDE_PACKED, 0, OWN), layer, j->states[WORK], e));
    TRY(dump_hidden(j->dump, layer + 1, j->states[WORK], e));
    return model_has_experts(forward_config(j), layer)
               ? dump_routing(j->dump, layer, &track_of(j, SIDE_PACKED, 0, OWN)->selected, e)
               : OK;
}

/* ---- one layer ------------------------------------------------- */

static err_code run_source(forward_job *j, unsigned layer, err *e)
{
    const unsigned own = number_of(j, SIDE_SOURCE, 0, OWN);
    TRY(run_layer(&j->sides[SIDE_SOURCE].run, layer, e));
    TRY(forward_take(j, SIDE_SOURCE, own, layer, after(j, layer), e));
    return both_modes(j)
               ? forward_compare_modes(j, SIDE_SOURCE, number_of(j, SIDE_SOURCE, 0, DECODED), layer,
                                       after(j, layer), e)
               : OK;
}

static err_code run_subject(forward_job *j, forward_side side, unsigned layer, err *e)
{
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        forward_give(j, side, number_of(j, side, f, LOCAL), before(j, layer));
    }
    return run_layer(&j->sides[side].run, layer, e);
}

static err_code compare_layer(forward_job *j, unsigned layer, err *e)
{
    TRY(run_source(j, layer, e));
    for (forward_side s = SIDE_PACKED; s < SIDES; s++) {
        TRY(forward_has(j, s) ? run_subject(j, s, layer, e) : OK);
    }
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        TRY(measure_own(j, f, layer, e));
    }
    return j->dump ? dump_layer(j, layer, e) : OK;
}

/* ---- before the first layer, and after the last ---------------- */

static err_code measure_embedding(forward_job *j, forward_side side, unsigned f, err *e)
{
    part_tally *const t = forward_part(j, f, PART_EMBEDDING, 0);
    float *const found = j->states[side == SIDE_PACKED ? WORK : OTHER];
    t->undefined |= j->sides[SIDE_PACKED].undefined;
    TRY(forward_take(j, side, number_of(j, side, f, OWN), -1, found, e));
    part_add(t, side, NULL, before(j, 0), found, state_floats(j));
    if (side == SIDE_IDEAL) {
        part_add_distance(t, j->states[WORK], found, state_floats(j));
    }
    return OK;
}

static err_code start(forward_job *j, err *e)
{
    TRY(forward_take(j, SIDE_SOURCE, number_of(j, SIDE_SOURCE, 0, OWN), -1, before(j, 0), e));
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        for (forward_side s = SIDE_PACKED; s < SIDES; s++) {
            TRY(forward_has(j, s) ? measure_embedding(j, s, f, e) : OK);
        }
        if (f == 0 && j->dump) {
            TRY(dump_hidden(j->dump, 0, j->states[WORK], e));
        }
    }
    j->sides[SIDE_PACKED].undefined = false;
    return OK;
}

static err_code run_layer_of_all(forward_job *j, unsigned layer, err *e)
{
    const model_config *const c = forward_config(j);
    TRY(compare_layer(j, layer, e));
    for (forward_side s = SIDE_PACKED; s < SIDES && layer + 1 == c->layers; s++) {
        for (unsigned f = 0; f < j->report->variant_count && forward_has(j, s); f++) {
            forward_give(j, s, number_of(j, s, f, LOCAL), after(j, layer)); /* into the head */
        }
    }
    return OK;
}

/* ---- results --------------------------------------------------- */

static void finish_layer(forward_job *j, unsigned f, unsigned layer)
{
    const layer_tally *const t = &j->tallies[f].layers[layer];
    layer_measure *const m = &j->report->variants[f].layers[layer];
    const size_t tokens = j->report->sequences * j->report->length;
    m->local_error = hidden_relative_rms(&t->local[SIDE_PACKED]);
    m->hidden_rms = hidden_relative_rms(&t->own);
    m->hidden_cosine = hidden_cosine(&t->own);
    if (model_has_experts(forward_config(j), layer)) {
        m->router_agreement = (double)t->same_experts / (double)tokens;
    }
}

static void finish_part(forward_job *j, unsigned f, model_part part, unsigned layer)
{
    forward_variant *const v = &j->report->variants[f];
    const bool outside = part == PART_EMBEDDING || part == PART_HEAD;
    v->parts[v->part_count++] =
        part_result(forward_part(j, f, part, layer), part, outside ? -1 : (int64_t)layer,
                    j->options->ideal == IDEAL_PACKED);
}

static void finish_variant(forward_job *j, unsigned f)
{
    const model_config *const c = forward_config(j);
    finish_part(j, f, PART_EMBEDDING, 0);
    for (unsigned i = 0; i < c->layers; i++) {
        finish_part(j, f, PART_ATTENTION, i);
        if (model_has_experts(c, i)) {
            finish_part(j, f, PART_ROUTER, i);
        }
        finish_part(j, f, PART_MLP, i);
        finish_layer(j, f, i);
    }
    finish_part(j, f, PART_HEAD, 0);
}

static err_code summarize(forward_job *j, unsigned f, err *e)
{
    forward_variant *const v = &j->report->variants[f];
    const size_t count = j->report->sequences * j->report->length;
    for (int s = SIDE_PACKED; s < SIDES; s++) {
        if (v->logits[s].positions) {
            TRY(measure_summarize(v->logits[s].positions, count, &v->logits[s].summary, e));
        }
    }
    return OK;
}

static err_code pair_with(forward_job *j, const forward_variant *v, forward_side other, paired *out,
                          err *e)
{
    const position_measure *const b = v->logits[other].positions;
    return b ? paired_of(v->logits[SIDE_PACKED].positions, b, j->report->sequences,
                         j->report->length, &j->monitor, out, e)
             : OK;
}

static err_code finish(forward_job *j, err *e)
{
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        finish_variant(j, f);
        forward_variant *const v = &j->report->variants[f];
        const bool same = j->options->ideal == IDEAL_PACKED;
        TRY(summarize(j, f, e));
        TRY(pair_with(j, v, same ? SIDE_PACKED : SIDE_IDEAL, &v->with_ideal, e));
        TRY(pair_with(j, v, SIDE_VERSUS, &v->with_versus, e));
    }
    coverage_finish(&j->report->coverage, j->sides[SIDE_PACKED].run.store);
    return OK;
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
    for (int s = 0; s < SIDES; s++) {
        j->sides[s].run.watch = (part_watch){.done = part_done, .ctx = &j->sides[s]};
    }
    return forward_job_open(j, e);
}

err_code forward_compare(store *source, store *packed, const forward_options *options, ops *o,
                         const monitor *m, forward_report *out, err *e)
{
    forward_job j = {.options = options, .report = out, .start = start, .layer = run_layer_of_all};
    err_code code = OK;
    forward_watch(&j, m);
    forward_job_begin(&j);
    out->ideal = options->ideal;
    out->versus = options->versus != NULL;
    TRY_OUT(prepare(&j, source, packed, o, e));
    TRY_OUT(forward_batches(&j, e));
    TRY_OUT(finish(&j, e));
out:
    code = store_end(source, &j.monitor, code, e);
    code = options->versus ? store_end(options->versus, &j.monitor, code, e) : code;
    return forward_job_end(&j, store_end(packed, &j.monitor, code, e), e);
}
