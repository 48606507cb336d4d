/* Layer by layer: what each part makes of the source's states, and what becomes of a model's own. */
#include <string.h>

#include "verify/forward/forward_compare.h"

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

/* ---- parts of a layer ------------------------------------------ */

/* A part of a side is done: measure its LOCAL track, whose input was `in` and should be `out` now.
 * The packed model comes before the ideal file, and its states are still there. */
static err_code measure_part(forward_job *j, forward_side side, unsigned f, model_part part,
                             unsigned layer, const float *in, const float *out, float *found,
                             err *e)
{
    const size_t n = forward_state_floats(j);
    part_tally *const t = forward_part(j, f, part, layer);
    TRY(forward_take(j, side, forward_number(j, side, f, LOCAL), layer, found, e));
    part_add(t, side, in, out, found, n);
    if (side == SIDE_IDEAL) {
        const float *packed = attended(j, SIDE_PACKED, f);
        if (part == PART_MLP) {
            TRY(forward_take(j, SIDE_PACKED, forward_number(j, SIDE_PACKED, f, LOCAL), layer,
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
    forward_give(j, side, forward_number(j, side, f, LOCAL), j->states[WITHIN]);
    return OK;
}

static void router_done(forward_job *j, forward_side side, unsigned f, unsigned layer)
{
    const size_t n = forward_tokens(j) * forward_config(j)->experts;
    part_tally *const t = forward_part(j, f, PART_ROUTER, layer);
    const float *const scores = forward_track(j, side, f, LOCAL)->scores;
    part_add_scores(t, side, forward_track(j, SIDE_SOURCE, 0, OWN)->scores, scores, n);
    if (side == SIDE_IDEAL) {
        part_add_score_distance(t, forward_track(j, SIDE_PACKED, f, LOCAL)->scores, scores, n);
    }
}

/* The increments of attention and MLP together are that of the layer. */
static void add_local(forward_job *j, forward_side side, unsigned f, unsigned layer)
{
    const size_t n = forward_state_floats(j);
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

err_code forward_part_done(void *ctx, unsigned layer, model_part part, err *e)
{
    const model_side *const s = ctx;
    forward_job *const j = s->job;
    const forward_side side = (forward_side)(s - j->sides);
    if (side != SIDE_SOURCE) {
        return subject_done(j, side, layer, part, e);
    }
    if (part == PART_ROUTER) {
        coverage_add_experts(&j->report->coverage, layer, forward_source_experts(j),
                             forward_tokens(j) * forward_config(j)->top_k);
    }
    return part == PART_ATTENTION
               ? forward_take(j, SIDE_SOURCE, forward_number(j, SIDE_SOURCE, 0, OWN), layer,
                              j->states[WITHIN], e)
               : OK;
}

/* ---- own states ------------------------------------------------ */

/* Compare the own states of the ideal file with those of the packed model in states[WORK]. Packed
 * tensors that only the packed model's own choice of experts uses are in no part. */
static err_code compare_ideal(forward_job *j, unsigned f, unsigned layer, err *e)
{
    int64_t *const unequal = &j->report->variants[f].unequal_layer;
    TRY(forward_take(j, SIDE_IDEAL, forward_number(j, SIDE_IDEAL, f, OWN), layer, j->states[OTHER],
                     e));
    if (memcmp(j->states[OTHER], j->states[WORK], forward_state_floats(j) * sizeof(float)) != 0) {
        *unequal = *unequal < 0 || layer < *unequal ? layer : *unequal;
    }
    return OK;
}

static err_code measure_own(forward_job *j, unsigned f, unsigned layer, err *e)
{
    layer_tally *const t = &j->tallies[f].layers[layer];
    TRY(forward_take(j, SIDE_PACKED, forward_number(j, SIDE_PACKED, f, OWN), layer, j->states[WORK],
                     e));
    hidden_sums_add(&t->own, after(j, layer), j->states[WORK], forward_state_floats(j));
    if (model_has_experts(forward_config(j), layer)) {
        t->same_experts += forward_same_experts(j, forward_source_experts(j),
                                                &forward_track(j, SIDE_PACKED, f, OWN)->selected);
    }
    if (forward_has(j, SIDE_IDEAL)) {
        TRY(compare_ideal(j, f, layer, e));
    }
    return forward_both_modes(j)
               ? forward_compare_modes(j, SIDE_PACKED, forward_number(j, SIDE_PACKED, f, DECODED),
                                       layer, j->states[WORK], e)
               : OK;
}

/* Write the packed model's own states and selected experts, of the first variant, to the dump. */
static err_code dump_layer(forward_job *j, unsigned layer, err *e)
{
    TRY(forward_take(j, SIDE_PACKED, forward_number(j, SIDE_PACKED, 0, OWN), layer, j->states[WORK],
                     e));
    TRY(dump_hidden(j->dump, layer + 1, j->states[WORK], e));
    return model_has_experts(forward_config(j), layer)
               ? dump_routing(j->dump, layer, &forward_track(j, SIDE_PACKED, 0, OWN)->selected, e)
               : OK;
}

/* ---- one layer ------------------------------------------------- */

static err_code run_source(forward_job *j, unsigned layer, err *e)
{
    const unsigned own = forward_number(j, SIDE_SOURCE, 0, OWN);
    TRY(run_layer(&j->sides[SIDE_SOURCE].run, layer, e));
    TRY(forward_take(j, SIDE_SOURCE, own, layer, after(j, layer), e));
    return forward_both_modes(j)
               ? forward_compare_modes(j, SIDE_SOURCE, forward_number(j, SIDE_SOURCE, 0, DECODED),
                                       layer, after(j, layer), e)
               : OK;
}

static err_code run_subject(forward_job *j, forward_side side, unsigned layer, err *e)
{
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        forward_give(j, side, forward_number(j, side, f, LOCAL), before(j, layer));
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
    TRY(forward_take(j, side, forward_number(j, side, f, OWN), -1, found, e));
    part_add(t, side, NULL, before(j, 0), found, forward_state_floats(j));
    if (side == SIDE_IDEAL) {
        part_add_distance(t, j->states[WORK], found, forward_state_floats(j));
    }
    return OK;
}

err_code forward_compare_start(forward_job *j, err *e)
{
    TRY(forward_take(j, SIDE_SOURCE, forward_number(j, SIDE_SOURCE, 0, OWN), -1, before(j, 0), e));
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

err_code forward_compare_layer(forward_job *j, unsigned layer, err *e)
{
    const model_config *const c = forward_config(j);
    TRY(compare_layer(j, layer, e));
    for (forward_side s = SIDE_PACKED; s < SIDES && layer + 1 == c->layers; s++) {
        for (unsigned f = 0; f < j->report->variant_count && forward_has(j, s); f++) {
            forward_give(j, s, forward_number(j, s, f, LOCAL), after(j, layer)); /* into the head */
        }
    }
    return OK;
}
