/* One model alone: its perplexity, its dump, and how it agrees with what another engine dumped for
 * the same tokens, each layer alone and from the first layer to the last. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "verify/forward/forward_job.h"

/* Tracks: one for each variant; the same token by token, if both modes are requested; with a
 * reference, two that get its hidden states before every layer, one for each slope form (the second
 * only if the model has linear attention). */
typedef struct single {
    forward_job job;
    unsigned variants;
    bool both;       /* both modes */
    bool local;      /* the reference has hidden states */
    routing experts; /* of the reference, in the current layer: [tokens, top_k] */
    bool has_experts;
} single;

static model_side *only_side(single *s)
{
    return &s->job.sides[SIDE_PACKED];
}

static unsigned decoded_track(const single *s, unsigned variant)
{
    return s->variants + variant;
}

static unsigned local_track(const single *s)
{
    return s->both ? 2 * s->variants : s->variants;
}

static unsigned other_track(const single *s)
{
    return local_track(s) + 1;
}

static void plan_tracks(single *s)
{
    const forward_options *const o = s->job.options;
    const forward_variant *const v = s->job.report->variants;
    model_run *const run = &only_side(s)->run;
    track *const tracks = only_side(s)->tracks;
    const slope_form other = o->slopes[0] == SLOPE_TRAINED ? SLOPE_HF : SLOPE_TRAINED;
    for (unsigned f = 0; f < s->variants; f++) {
        const track t = {.fp8 = v[f].fp8, .slope = o->slopes[0], .decode = !o->prefill};
        forward_add_track(&s->job, SIDE_PACKED, f, OWN, t);
    }
    for (unsigned f = 0; f < s->variants && s->both; f++) {
        const track t = {.fp8 = v[f].fp8, .slope = o->slopes[0], .decode = true};
        forward_add_track(&s->job, SIDE_PACKED, f, DECODED, t);
    }
    if (s->local) {
        tracks[run->track_count++] = (track){.fp8 = tracks[0].fp8, .slope = o->slopes[0]};
    }
    if (s->local && model_has_linear(&run->config)) {
        tracks[run->track_count++] = (track){.fp8 = tracks[0].fp8, .slope = other};
    }
}

/* ---- the reference --------------------------------------------- */

typedef struct tensor_name {
    char s[32];
} tensor_name;

static const char *numbered(tensor_name *to, const char *what, unsigned number)
{
    snprintf(to->s, sizeof to->s, "%s.%u", what, number);
    return to->s;
}

/* Read the hidden states after `number` layers. */
static err_code read_states(const single *s, unsigned number, float *to, err *e)
{
    tensor_name n;
    return reference_read_rows(s->job.options->reference, numbered(&n, "hidden", number), 0,
                               forward_tokens(&s->job), forward_config(&s->job)->hidden, to, e);
}

/* Sort the experts of one token in ascending order: references may have any order. */
static void sort_experts(uint32_t *index, float *weights, unsigned k)
{
    for (unsigned i = 1; i < k; i++) {
        for (unsigned j = i; j > 0 && index[j - 1] > index[j]; j--) {
            const uint32_t expert = index[j];
            const float moved = weights[j];
            index[j] = index[j - 1];
            weights[j] = weights[j - 1];
            index[j - 1] = expert;
            weights[j - 1] = moved;
        }
    }
}

/* Check sorted indices: all experts exist, and no token has one twice. */
static err_code check_experts(const single *s, const char *name, err *e)
{
    const model_config *const c = forward_config(&s->job);
    const uint32_t *index = s->experts.index;
    for (size_t t = 0; t < forward_tokens(&s->job); t++, index += c->top_k) {
        for (unsigned i = 0; i < c->top_k; i++) {
            const bool twice = i > 0 && index[i] == index[i - 1];
            if (index[i] >= c->experts || twice) {
                return err_set(e, ERR_INPUT, "the reference: tensor %s: token %zu: expert %u %s",
                               name, t, index[i], twice ? "twice" : "does not exist");
            }
        }
    }
    return OK;
}

/* The local tracks use the reference's experts if it has them, so that a different choice of
 * experts does not count as an error of the layer. */
static err_code read_experts(single *s, unsigned layer, err *e)
{
    const reference *const r = s->job.options->reference;
    model_run *const run = &only_side(s)->run;
    const size_t tokens = run_tokens(run);
    const unsigned k = run->config.top_k;
    tensor_name index;
    tensor_name weights;
    numbered(&index, "router_index", layer);
    numbered(&weights, "router_weight", layer);
    s->has_experts = model_has_experts(&run->config, layer) && reference_has(r, index.s) &&
                     reference_has(r, weights.s);
    for (unsigned i = local_track(s); i < run->track_count; i++) {
        run->tracks[i].forced = s->has_experts ? &s->experts : NULL;
    }
    if (!s->has_experts) {
        return OK;
    }
    TRY(reference_read_indices(r, index.s, 0, tokens, k, s->experts.index, e));
    TRY(reference_read_rows(r, weights.s, 0, tokens, k, s->experts.weights, e));
    for (size_t t = 0; t < tokens; t++) {
        sort_experts(s->experts.index + t * k, s->experts.weights + t * k, k);
    }
    return check_experts(s, index.s, e);
}

/* Does the reference have what a layer is compared with, in the right shapes? */
static err_code check_layer(const reference *r, const model_config *c, size_t tokens,
                            unsigned layer, err *e)
{
    static const char *const what[] = {"router_index", "router_weight"};
    tensor_name n;
    TRY(reference_check(r, numbered(&n, "hidden", layer + 1), tokens, c->hidden, e));
    for (unsigned i = 0; i < 2; i++) {
        if (model_has_experts(c, layer) && reference_has(r, numbered(&n, what[i], layer))) {
            TRY(reference_check(r, n.s, tokens, c->top_k, e));
        }
    }
    return OK;
}

err_code forward_check_reference(const reference *r, const model_config *c, size_t tokens,
                                 slope_form slope, err *e)
{
    const char *const logits = reference_logits(r, slope == SLOPE_HF);
    const bool states = reference_has(r, "hidden.0");
    if (!states && !logits) {
        return err_set(e, ERR_INPUT,
                       "the reference has neither hidden.0 nor logits: nothing to compare with");
    }
    if (states) {
        TRY(reference_check(r, "hidden.0", tokens, c->hidden, e));
    }
    for (unsigned i = 0; states && i < c->layers; i++) {
        TRY(check_layer(r, c, tokens, i, e));
    }
    return logits ? reference_check(r, logits, tokens, c->vocab, e) : OK;
}

/* ---- one layer ------------------------------------------------- */

static double local_error(const float *before, const float *after, const float *ours, size_t n)
{
    hidden_sums sums = {0};
    hidden_sums_add_increment(&sums, before, after, ours, n);
    return hidden_relative_rms(&sums);
}

/* Measure what the layer makes of the reference's states before it against the reference's states
 * after it. */
static err_code measure_local(single *s, unsigned layer, const float *before, const float *after,
                              err *e)
{
    forward_job *const j = &s->job;
    const size_t n = forward_tokens(j) * forward_config(j)->hidden;
    layer_measure *const m = &j->report->variants[0].layers[layer];
    TRY(forward_take(j, SIDE_PACKED, local_track(s), layer, j->states[2], e));
    m->local_error = local_error(before, after, j->states[2], n);
    if (only_side(s)->run.track_count > other_track(s)) {
        TRY(forward_take(j, SIDE_PACKED, other_track(s), layer, j->states[2], e));
        if (model_layer_kind(forward_config(j), layer) == LAYER_LINEAR) {
            m->other_slope_error = local_error(before, after, j->states[2], n);
        }
    }
    return OK;
}

/* Measure and dump the own states of a variant. `after`: the reference's states, if it has them. */
static err_code measure_own(single *s, unsigned f, unsigned layer, const float *after, err *e)
{
    forward_job *const j = &s->job;
    const size_t n = forward_tokens(j) * forward_config(j)->hidden;
    layer_measure *const m = &j->report->variants[f].layers[layer];
    const routing *const selected = &only_side(s)->tracks[f].selected;
    float *const states = j->states[2];
    TRY(forward_take(j, SIDE_PACKED, f, layer, states, e));
    if (s->local) {
        hidden_sums sums = {0};
        hidden_sums_add(&sums, after, states, n);
        m->hidden_rms = hidden_relative_rms(&sums);
        m->hidden_cosine = hidden_cosine(&sums);
    }
    if (s->has_experts) {
        m->router_agreement =
            (double)forward_same_experts(j, &s->experts, selected) / (double)forward_tokens(j);
    }
    if (s->both) {
        TRY(forward_compare_modes(j, SIDE_PACKED, decoded_track(s, f), layer, states, e));
    }
    if (f > 0 || !j->dump) {
        return OK;
    }
    TRY(dump_hidden(j->dump, layer + 1, states, e));
    return model_has_experts(forward_config(j), layer) ? dump_routing(j->dump, layer, selected, e)
                                                       : OK;
}

static void note_experts(single *s, unsigned layer)
{
    const model_config *const c = forward_config(&s->job);
    if (model_has_experts(c, layer)) {
        coverage_add_experts(&s->job.report->coverage, layer, &only_side(s)->tracks[0].selected,
                             forward_tokens(&s->job) * c->top_k);
    }
}

/* The job is the first member of its single. */
static err_code do_layer(forward_job *j, unsigned layer, err *e)
{
    single *const s = (single *)j;
    float *const before = j->states[layer % 2];
    float *const after = j->states[(layer + 1) % 2];
    if (s->local) {
        TRY(read_states(s, layer + 1, after, e));
        TRY(read_experts(s, layer, e));
    }
    for (unsigned i = local_track(s); i < only_side(s)->run.track_count; i++) {
        forward_give(j, SIDE_PACKED, i, before);
    }
    TRY(run_layer(&only_side(s)->run, layer, e));
    note_experts(s, layer);
    for (unsigned f = 0; f < s->variants; f++) {
        TRY(measure_own(s, f, layer, after, e));
    }
    return s->local ? measure_local(s, layer, before, after, e) : OK;
}

/* ---- the whole ------------------------------------------------- */

/* Embed the tokens; embeddings are the first thing that can differ from a reference. */
static err_code start(forward_job *j, err *e)
{
    single *const s = (single *)j;
    const size_t n = forward_tokens(j) * forward_config(j)->hidden;
    TRY(forward_take(j, SIDE_PACKED, 0, -1, j->states[2], e));
    if (j->dump) {
        TRY(dump_hidden(j->dump, 0, j->states[2], e));
    }
    if (s->local) {
        hidden_sums sums = {0};
        TRY(read_states(s, 0, j->states[0], e));
        hidden_sums_add(&sums, j->states[0], j->states[2], n);
        j->report->embedding_rms = hidden_relative_rms(&sums);
    }
    return OK;
}

static err_code allocate_experts(single *s, err *e)
{
    const size_t choices = forward_tokens(&s->job) * forward_config(&s->job)->top_k + 1;
    s->experts.index = calloc(choices, sizeof *s->experts.index);
    s->experts.weights = calloc(choices, sizeof *s->experts.weights);
    return s->experts.index && s->experts.weights
               ? OK
               : err_set(e, ERR_MEMORY, "no memory for the experts of a reference");
}

static err_code open_single(single *s, store *model, ops *o, err *e)
{
    forward_job *const j = &s->job;
    const reference *const r = j->options->reference;
    const slope_form slope = j->options->slopes[0];
    const size_t tokens = j->options->sequences * j->options->length;
    s->variants = j->report->variant_count;
    s->both = j->options->prefill && j->options->decode;
    s->local = r && reference_has(r, "hidden.0");
    TRY(forward_side_prepare(j, SIDE_PACKED, model, o, e));
    plan_tracks(s);
    if (r) {
        j->reference_logits = reference_logits(r, slope == SLOPE_HF);
        TRY(forward_check_reference(r, forward_config(j), tokens, slope, e));
    }
    TRY(forward_job_open(j, e));
    return allocate_experts(s, e);
}

static err_code finish(forward_job *j, err *e)
{
    const forward_report *const r = j->report;
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        logits_measure *const l = &j->report->variants[f].logits[SIDE_PACKED];
        TRY(measure_summarize(l->positions, r->sequences, r->length, &j->monitor, &l->summary, e));
    }
    coverage_finish(&j->report->coverage, j->sides[SIDE_PACKED].run.store);
    return OK;
}

err_code forward_single(store *model, const forward_options *options, ops *o, const monitor *m,
                        forward_report *out, err *e)
{
    single s = {.job = {.options = options, .report = out, .start = start, .layer = do_layer}};
    err_code code = OK;
    forward_watch(&s.job, m);
    forward_job_begin(&s.job);
    TRY_OUT(open_single(&s, model, o, e));
    TRY_OUT(forward_batches(&s.job, e));
    TRY_OUT(finish(&s.job, e));
out:
    out->has_states = s.local;
    out->has_reference = s.local || s.job.reference_logits;
    free(s.experts.weights);
    free(s.experts.index);
    code = store_end(model, &s.job.monitor, code, e);
    code = options->reference ? reference_end(options->reference, code, e) : code;
    return forward_job_end(&s.job, code, e);
}
