/* A mixture of experts. All tokens are normed and routed; then each routed expert processes its
 * tokens of all tracks, so that its weights are read only once; then the shared expert follows. */
#include "format/base/num.h"
#include "verify/model/expert_lists.h"
#include "verify/model/layer_parts.h"

static bool has(const model_run *run, unsigned layer, unsigned slot)
{
    uint64_t shape[2];
    return model_tensor_shape(&run->config, slot, layer, shape) > 0;
}

static slot_range three_from(unsigned slot)
{
    return (slot_range){slot, slot + 2};
}

/* Normed hidden states and sums of experts have the shape of the hidden states of a track. */
static mat like_track(const model_run *run, unsigned number, float *data)
{
    mat m = run_track(run, number);
    m.data = data + (m.data - run->hidden);
    return m;
}

static mat normed_of(const model_run *run, unsigned number)
{
    return like_track(run, number, run->normed);
}

static mat sum_of(const model_run *run, unsigned number)
{
    return like_track(run, number, run->sum);
}

/* ---- routing --------------------------------------------------- */

/* The bias of the router as floats, on the host; NULL: the layer has none. */
static err_code read_bias(model_run *run, unsigned layer, const mixture *m, const float **bias,
                          err *e)
{
    weight w;
    *bias = NULL;
    if (has(run, layer, m->bias)) {
        TRY(run_read_weight(run, m->bias, layer, 0, &w, e));
        if (w.data) {
            weight_widen_row(&w, 0, run->bias);
        }
        *bias = run->bias;
    }
    return OK;
}

static routes routes_from(const track *t, size_t row, const router_shape *shape)
{
    const size_t at = row * shape->top_k;
    return (routes){
        .choice = t->choice ? t->choice->index + at : NULL,
        .index = t->selected.index + at,
        .weights = t->selected.weights + at,
        .scores = t->scores ? t->scores + row * shape->experts : NULL,
    };
}

static void route_track(const step *s, unsigned number, const mixture *m, const float *bias)
{
    ops *const o = s->run->ops;
    track *const t = &s->run->tracks[number];
    const mat b = normed_of(s->run, number);
    o->norm(o, run_track(s->run, number), 1, &s->w[m->norm], s->c->eps, b);
    size_t rows = 0;
    for (size_t row = 0; row < b.rows && (!t->forced || t->scores); row += rows) {
        rows = layer_block_rows(t, row, b.rows);
        run_scratch_reset(s->run);
        const mat z = linear(s, mat_rows(b, row, rows), m->router);
        const routes out = routes_from(t, row, &m->shape);
        o->route(o, z, &m->shape, bias, &out);
    }
}

/* Norm all hidden states and choose experts for each token. */
static err_code route(model_run *run, unsigned layer, const mixture *m, err *e)
{
    const slot_range norm_slot = {m->norm, m->norm};
    const slot_range router_slot = {m->router, m->router};
    weight w[MODEL_SLOTS_MAX] = {0};
    const float *bias = NULL;
    err_code code = OK;
    TRY_OUT(layer_load(run, layer, norm_slot, 0, w, e));
    TRY_OUT(layer_load(run, layer, router_slot, 0, w, e));
    TRY_OUT(read_bias(run, layer, m, &bias, e));
    for (unsigned i = 0; i < run->track_count; i++) {
        const step s = layer_step(run, layer, w, i);
        route_track(&s, i, m, bias);
    }
    code = run_go_on(run, e); /* results of `route` are valid only if no operation failed */
out:
    layer_unload(run, router_slot, w);
    layer_unload(run, norm_slot, w);
    return code;
}

/* ---- routed experts -------------------------------------------- */

/* Compute the tokens of one expert, track by track. */
static void run_expert(model_run *run, unsigned layer, const mixture *m, const weight *w,
                       const expert_lists *lists, unsigned expert)
{
    ops *const o = run->ops;
    for (unsigned i = 0; i < run->track_count; i++) {
        const step s = layer_step(run, layer, w, i);
        const expert_list list = expert_lists_get(lists, i, expert);
        size_t rows = 0;
        for (size_t at = 0; at < list.count; at += rows) {
            rows = layer_block_rows(&run->tracks[i], at, list.count);
            run_scratch_reset(run);
            const mat x = run_scratch(run, rows, run->config.hidden);
            o->gather(o, normed_of(run, i), list.rows + at, x);
            o->scatter(o, m->formula(&s, x, m->expert), list.rows + at, list.weights + at,
                       sum_of(run, i));
        }
    }
}

static err_code one_expert(model_run *run, unsigned layer, const mixture *m,
                           const expert_lists *lists, unsigned expert, err *e)
{
    weight w[MODEL_SLOTS_MAX] = {0};
    err_code code = OK;
    TRY_OUT(layer_load(run, layer, three_from(m->expert), expert, w, e));
    run_expert(run, layer, m, w, lists, expert);
    code = run_go_on(run, e);
out:
    layer_unload(run, three_from(m->expert), w);
    return code;
}

/* In ascending order; the next expert is read ahead while one is computed. */
static err_code routed(model_run *run, unsigned layer, const mixture *m, const expert_lists *lists,
                       err *e)
{
    unsigned next = expert_lists_next(lists, 0);
    while (next < m->shape.experts) {
        const unsigned expert = next;
        next = expert_lists_next(lists, expert + 1);
        for (unsigned i = 0; i < 3 && next < m->shape.experts; i++) {
            run_prefetch(run, m->expert + i, layer, next);
        }
        TRY(one_expert(run, layer, m, lists, expert, e));
    }
    return OK;
}

/* ---- the shared expert ----------------------------------------- */

static void shared_track(const step *s, unsigned number, const mixture *m)
{
    const mat b = normed_of(s->run, number);
    const mat sum = sum_of(s->run, number);
    size_t rows = 0;
    for (size_t row = 0; row < b.rows; row += rows) {
        rows = layer_block_rows(&s->run->tracks[number], row, b.rows);
        run_scratch_reset(s->run);
        add(s, mat_rows(sum, row, rows), m->formula(s, mat_rows(b, row, rows), m->shared));
    }
}

/* x = x + (sum of routed experts + shared expert) */
static err_code add_shared(model_run *run, unsigned layer, const mixture *m, err *e)
{
    const slot_range used = three_from(m->shared);
    const bool shared = has(run, layer, m->shared);
    weight w[MODEL_SLOTS_MAX] = {0};
    err_code code = OK;
    if (shared) {
        TRY_OUT(layer_load(run, layer, used, 0, w, e));
    }
    for (unsigned i = 0; i < run->track_count; i++) {
        const step s = layer_step(run, layer, w, i);
        if (shared) {
            shared_track(&s, i, m);
        }
        add(&s, run_track(run, i), sum_of(run, i));
        TRY_OUT(run_go_on(run, e));
    }
out:
    layer_unload(run, used, w);
    return code;
}

err_code layer_mixture(model_run *run, unsigned layer, const mixture *m, err *e)
{
    expert_lists lists = {0};
    err_code code = OK;
    TRY_OUT(route(run, layer, m, e));
    TRY_OUT(layer_part_done(run, layer, PART_ROUTER, e));
    TRY_OUT(expert_lists_create(run, &lists, e));
    for (unsigned i = 0; i < run->track_count; i++) {
        run->ops->zero(run->ops, sum_of(run, i));
    }
    TRY_OUT(routed(run, layer, m, &lists, e));
    TRY_OUT(add_shared(run, layer, m, e));
    code = layer_part_done(run, layer, PART_MLP, e);
out:
    expert_lists_free(&lists);
    return code;
}
