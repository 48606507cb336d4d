/* A source and its packed model, side by side (spec/forward.md section 8). */
#include <math.h>

#include "verify/forward/forward_job.h"

/* Tracks of the source: OWN, and SOURCE_DECODED, the same token by token. Tracks of the packed
 * model, for each variant: OWN, with its own states; LOCAL, which gets the states and experts of
 * the source before every layer; and DECODED, which is OWN token by token. */
enum { OWN, LOCAL, DECODED };
enum { SOURCE_DECODED = 1 };

static bool both_modes(const forward_job *j)
{
    return j->options->prefill && j->options->decode;
}

static unsigned packed_tracks(const forward_job *j) /* of one variant */
{
    return both_modes(j) ? DECODED + 1 : LOCAL + 1;
}

static unsigned packed_track(const forward_job *j, unsigned variant, unsigned kind)
{
    return variant * packed_tracks(j) + kind;
}

static void plan_tracks(forward_job *j)
{
    const forward_options *const o = j->options;
    j->a.run.track_count = both_modes(j) ? SOURCE_DECODED + 1 : OWN + 1;
    for (unsigned i = 0; i < j->a.run.track_count; i++) {
        j->a.tracks[i] =
            (track){.slope = o->slopes[0], .decode = !o->prefill || i == SOURCE_DECODED};
    }
    j->b.run.track_count = j->report->variant_count * packed_tracks(j);
    for (unsigned i = 0; i < j->b.run.track_count; i++) {
        const unsigned kind = i % packed_tracks(j);
        j->b.tracks[i] = (track){
            .fp8 = j->report->variants[i / packed_tracks(j)].fp8,
            .slope = o->slopes[1],
            .decode = !o->prefill || kind == DECODED,
            .forced = kind == LOCAL ? &j->a.tracks[OWN].selected : NULL,
        };
    }
}

/* ---- one layer ------------------------------------------------- */

/* `before` and `after`: the states of the source before and after the layer. */
static err_code measure_variant(forward_job *j, unsigned f, unsigned layer, const float *before,
                                const float *after, err *e)
{
    model_side *const b = &j->b;
    const size_t n = run_tokens(&b->run) * b->run.config.hidden;
    float *const states = j->states[2];
    layer_measure *const m = &j->report->variants[f].layers[layer];
    hidden_sums local = {0};
    hidden_sums whole = {0};
    TRY(forward_take(j, b, packed_track(j, f, LOCAL), layer, states, e));
    hidden_sums_add_increment(&local, before, after, states, n);
    TRY(forward_take(j, b, packed_track(j, f, OWN), layer, states, e));
    hidden_sums_add(&whole, after, states, n);
    m->local_error = hidden_relative_rms(&local);
    m->hidden_rms = hidden_relative_rms(&whole);
    m->hidden_cosine = hidden_cosine(&whole);
    if (model_has_experts(&b->run.config, layer)) {
        m->router_agreement = forward_agreement(j, &j->a.tracks[OWN].selected,
                                                &b->tracks[packed_track(j, f, OWN)].selected);
    }
    return both_modes(j)
               ? forward_compare_modes(j, b, packed_track(j, f, DECODED), layer, states, e)
               : OK;
}

/* Write the packed model's own states and selected experts, of the first variant, to the dump. */
static err_code dump_layer(forward_job *j, unsigned layer, err *e)
{
    model_side *const b = &j->b;
    const unsigned own = packed_track(j, 0, OWN);
    TRY(forward_take(j, b, own, layer, j->states[2], e));
    TRY(dump_hidden(j->dump, layer + 1, j->states[2], e));
    return model_has_experts(&b->run.config, layer)
               ? dump_routing(j->dump, layer, &b->tracks[own].selected, e)
               : OK;
}

static err_code compare_layer(forward_job *j, unsigned layer, err *e)
{
    float *const before = j->states[layer % 2]; /* `after` of the previous layer */
    float *const after = j->states[(layer + 1) % 2];
    TRY(run_layer(&j->a.run, layer, e));
    TRY(forward_take(j, &j->a, OWN, layer, after, e));
    if (both_modes(j)) {
        TRY(forward_compare_modes(j, &j->a, SOURCE_DECODED, layer, after, e));
    }
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        j->b.run.ops->put(j->b.run.ops, before, run_track(&j->b.run, packed_track(j, f, LOCAL)));
    }
    TRY(run_layer(&j->b.run, layer, e));
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        TRY(measure_variant(j, f, layer, before, after, e));
    }
    return j->dump ? dump_layer(j, layer, e) : OK;
}

/* ---- the whole ------------------------------------------------- */

static err_code check_shapes(const forward_job *j, err *e)
{
    const model_config *const a = &j->a.run.config;
    const model_config *const b = &j->b.run.config;
    bool same = a->hidden == b->hidden && a->layers == b->layers && a->vocab == b->vocab &&
                a->experts == b->experts && a->top_k == b->top_k;
    for (unsigned i = 0; i < a->layers && same; i++) {
        same = model_has_experts(a, i) == model_has_experts(b, i);
    }
    if (!same) {
        return err_set(e, ERR_DIFFERENT, "%s and %s: models of different shapes cannot be compared",
                       j->b.run.store->path, j->a.run.store->path);
    }
    return OK;
}

static err_code start(forward_job *j, err *e)
{
    TRY(forward_embed(j, &j->a, e));
    TRY(forward_embed(j, &j->b, e));
    TRY(forward_take(j, &j->a, OWN, -1, j->states[0], e));
    if (!j->dump) {
        return OK;
    }
    TRY(forward_take(j, &j->b, packed_track(j, 0, OWN), -1, j->states[2], e));
    return dump_hidden(j->dump, 0, j->states[2], e);
}

static err_code run(forward_job *j, err *e)
{
    const unsigned own[2] = {packed_track(j, 0, OWN), packed_track(j, 1, OWN)};
    TRY(start(j, e));
    for (unsigned i = 0; i < j->a.run.config.layers; i++) {
        TRY(compare_layer(j, i, e));
    }
    return forward_logits(j, own, e);
}

static err_code open_pair(forward_job *j, store *source, store *packed, ops *o, err *e)
{
    TRY(forward_side_prepare(j, &j->a, source, o, e));
    TRY(forward_side_prepare(j, &j->b, packed, o, e));
    TRY(check_shapes(j, e));
    plan_tracks(j);
    return forward_job_open(j, e);
}

err_code forward_compare(store *source, store *packed, const forward_options *options, ops *o,
                         const monitor *m, forward_report *out, err *e)
{
    forward_job j = {.options = options, .monitor = m, .report = out};
    *out = (forward_report){.embedding_rms = NAN};
    monitor_stage(m, "forward", store_bytes(source) + store_bytes(packed));
    forward_name_variants(&j);
    err_code code = OK;
    TRY_OUT(open_pair(&j, source, packed, o, e));
    TRY_OUT(run(&j, e));
out:
    code = store_end(source, m, code, e);
    return forward_job_end(&j, store_end(packed, m, code, e), e);
}
