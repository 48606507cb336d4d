/* Ring-linear 2.0 and the softmax-only Ling and Ring 2.0, one layer (spec/forward.md section 6). */
#include "format/base/num.h"
#include "verify/model/expert_lists.h"
#include "verify/model/model_run.h"

/* ---- attention ------------------------------------------------- */

typedef struct attention_weights {
    bool linear;
    weight input_norm, qkv, q_norm, k_norm, dense;
    weight g_proj, g_norm; /* linear */
} attention_weights;

static err_code load_attention(model_run *run, unsigned layer, attention_weights *w, err *e)
{
    const struct {
        tensor_slot slot;
        weight *to;
        bool linear_only;
    } parts[] = {
        {SLOT_INPUT_NORM, &w->input_norm, false}, {SLOT_QKV, &w->qkv, false},
        {SLOT_Q_NORM, &w->q_norm, false},         {SLOT_K_NORM, &w->k_norm, false},
        {SLOT_DENSE, &w->dense, false},           {SLOT_G_PROJ, &w->g_proj, true},
        {SLOT_G_NORM, &w->g_norm, true},
    };
    err_code code = OK;
    w->linear = model_layer_kind(&run->config, layer) == LAYER_LINEAR;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && code == OK; i++) {
        if (w->linear || !parts[i].linear_only) {
            code = run_load(run, parts[i].slot, layer, 0, parts[i].to, e);
        }
    }
    return code;
}

/* x = x + attention(norm(x)) for some tokens of one sequence, the first of them at `position`. */
static void attend(model_run *run, const attention_weights *w, bool fp8, size_t position, mat x)
{
    ops *const o = run->ops;
    const model_config *const c = &run->config;
    const attention_shape shape = {c->heads,    w->linear ? c->heads : c->kv_heads, c->head_dim,
                                   c->head_dim, attention_scale(c->head_dim),       0};
    const size_t q_width = (size_t)c->heads * c->head_dim;
    const size_t kv_width = (size_t)shape.kv_heads * c->head_dim;
    const unsigned half = c->rotary_dim / 2;
    const float *const cos = run->cos + position * half;
    const float *const sin = run->sin + position * half;

    run_scratch_reset(run);
    const mat a = run_scratch(run, x.rows, c->hidden);
    const mat qkv = run_scratch(run, x.rows, q_width + 2 * kv_width);
    const mat u = run_scratch(run, x.rows, q_width);
    const mat q = mat_cols(qkv, 0, q_width);
    const mat k = mat_cols(qkv, q_width, kv_width);
    const mat v = mat_cols(qkv, q_width + kv_width, kv_width);

    o->norm(o, x, 1, &w->input_norm, c->eps, a);
    o->matmul(o, a, &w->qkv, NULL, fp8, qkv);
    if (w->linear && c->linear_silu) {
        o->silu(o, qkv);
    }
    o->norm(o, q, c->heads, &w->q_norm, c->eps, q);
    o->norm(o, k, shape.kv_heads, &w->k_norm, c->eps, k);
    o->rope(o, q, c->heads, (rotation){.half = half}, cos, sin);
    o->rope(o, k, shape.kv_heads, (rotation){.half = half}, cos, sin);
    if (w->linear) {
        const mat g = run_scratch(run, x.rows, q_width);
        o->linear_attention(o, shape, q, k, v, run->decay, run->state, u);
        o->matmul(o, a, &w->g_proj, NULL, fp8, g);
        o->gate(o, u, c->norm_groups, &w->g_norm, c->eps, g, u);
    } else {
        o->attention(o, shape, q, k, v, position, run->state, run->length, u);
    }
    o->matmul(o, u, &w->dense, NULL, fp8, a);
    o->add(o, x, a);
}

static err_code attention(model_run *run, unsigned layer, err *e)
{
    attention_weights w = {0};
    err_code code = load_attention(run, layer, &w, e);
    for (unsigned s = 0; s < run->track_count && code == OK; s++) {
        const track *const st = &run->tracks[s];
        const size_t step = st->decode ? 1 : run->length;
        model_decay(&run->config, st->slope, layer, run->decay);
        for (size_t row = 0; row < run_tokens(run) && code == OK; row += step) {
            const size_t position = row % run->length;
            if (position == 0) {
                run_clear_state(run);
            }
            attend(run, &w, st->fp8, position, mat_rows(run_track(run, s), row, step));
            code = run_go_on(run, e);
        }
    }
    return code;
}

/* ---- MLP ------------------------------------------------------- */

typedef struct mlp_weights {
    weight gate, up, down;
} mlp_weights;

/* `first` is the slot of the gate; those of up and down follow it. */
static err_code load_mlp(model_run *run, tensor_slot first, unsigned layer, unsigned expert,
                         mlp_weights *w, err *e)
{
    weight *const parts[] = {&w->gate, &w->up, &w->down};
    err_code code = OK;
    for (unsigned i = 0; i < 3 && code == OK; i++) {
        code = run_load(run, (tensor_slot)(first + i), layer, expert, parts[i], e);
    }
    return code;
}

/* y = down(silu(gate x) * up x) */
static void mlp(model_run *run, const mlp_weights *w, bool fp8, mat x, mat y)
{
    ops *const o = run->ops;
    const mat gate = run_scratch(run, x.rows, w->gate.rows);
    const mat up = run_scratch(run, x.rows, w->up.rows);
    o->matmul(o, x, &w->gate, NULL, fp8, gate);
    o->matmul(o, x, &w->up, NULL, fp8, up);
    o->silu_mul(o, gate, up, gate);
    o->matmul(o, gate, &w->down, NULL, fp8, y);
}

/* Tokens of a track that are worked on together, from row `row` on, of `rows`. */
static size_t block_rows(const track *s, size_t row, size_t rows)
{
    return s->decode ? 1 : num_min(RUN_BLOCK, rows - row);
}

/* x = x + mlp(norm(x)) */
static err_code dense_mlp(model_run *run, unsigned layer, err *e)
{
    ops *const o = run->ops;
    weight norm;
    mlp_weights w;
    err_code code = run_load(run, SLOT_POST_NORM, layer, 0, &norm, e);
    if (code == OK) {
        code = load_mlp(run, SLOT_GATE_PROJ, layer, 0, &w, e);
    }
    for (unsigned s = 0; s < run->track_count && code == OK; s++) {
        const mat all = run_track(run, s);
        size_t rows = 0;
        for (size_t row = 0; row < all.rows && code == OK; row += rows) {
            rows = block_rows(&run->tracks[s], row, all.rows);
            const mat x = mat_rows(all, row, rows);
            run_scratch_reset(run);
            const mat b = run_scratch(run, rows, run->config.hidden);
            const mat y = run_scratch(run, rows, run->config.hidden);
            o->norm(o, x, 1, &norm, run->config.eps, b);
            mlp(run, &w, run->tracks[s].fp8, b, y);
            o->add(o, x, y);
            code = run_go_on(run, e);
        }
    }
    return code;
}

/* ---- experts --------------------------------------------------- */

/* The normed hidden states and the sums of the experts, shaped like those of a track. */
static mat normed_of(const model_run *run, unsigned s)
{
    mat m = run_track(run, s);
    m.data = run->normed + (m.data - run->hidden);
    return m;
}

static mat sum_of(const model_run *run, unsigned s)
{
    mat m = run_track(run, s);
    m.data = run->sum + (m.data - run->hidden);
    return m;
}

/* Norm all hidden states and choose experts for each token. */
static err_code route(model_run *run, unsigned layer, err *e)
{
    ops *const o = run->ops;
    const model_config *const c = &run->config;
    const router_shape shape = {c->experts,    c->top_k,     c->groups,
                                c->top_groups, c->norm_topk, c->routed_scaling};
    weight norm;
    weight router;
    weight bias;
    err_code code = run_load(run, SLOT_POST_NORM, layer, 0, &norm, e);
    if (code == OK) {
        code = run_load(run, SLOT_ROUTER, layer, 0, &router, e);
    }
    if (code == OK && c->expert_bias) {
        code = run_load(run, SLOT_EXPERT_BIAS, layer, 0, &bias, e);
    }
    if (code == OK && c->expert_bias) {
        weight_widen_row(&bias, 0, run->bias);
    }
    for (unsigned s = 0; s < run->track_count && code == OK; s++) {
        const mat b = normed_of(run, s);
        track *const st = &run->tracks[s];
        o->norm(o, run_track(run, s), 1, &norm, c->eps, b);
        size_t rows = 0;
        for (size_t row = 0; row < b.rows && !st->forced; row += rows) {
            rows = block_rows(st, row, b.rows);
            run_scratch_reset(run);
            const mat z = run_scratch(run, rows, c->experts);
            o->matmul(o, mat_rows(b, row, rows), &router, NULL, st->fp8, z);
            o->route(o, z, &shape, c->expert_bias ? run->bias : NULL,
                     st->chosen.index + row * c->top_k, st->chosen.share + row * c->top_k);
        }
    }
    return code;
}

/* The tokens of one expert, track by track. */
static void run_expert(model_run *run, const mlp_weights *w, const expert_lists *lists,
                       unsigned expert)
{
    ops *const o = run->ops;
    for (unsigned s = 0; s < run->track_count; s++) {
        const expert_list list = expert_lists_get(lists, s, expert);
        size_t rows = 0;
        for (size_t i = 0; i < list.count; i += rows) {
            rows = block_rows(&run->tracks[s], i, list.count);
            run_scratch_reset(run);
            const mat x = run_scratch(run, rows, run->config.hidden);
            const mat y = run_scratch(run, rows, run->config.hidden);
            o->gather(o, normed_of(run, s), list.rows + i, x);
            mlp(run, w, run->tracks[s].fp8, x, y);
            o->scatter(o, y, list.rows + i, list.shares + i, sum_of(run, s));
        }
    }
}

static void prefetch_expert(model_run *run, unsigned layer, unsigned expert)
{
    run_prefetch(run, SLOT_EXPERT_GATE, layer, expert);
    run_prefetch(run, SLOT_EXPERT_UP, layer, expert);
    run_prefetch(run, SLOT_EXPERT_DOWN, layer, expert);
}

/* Routed experts, one after the other in ascending order. */
static err_code routed_experts(model_run *run, unsigned layer, const expert_lists *lists, err *e)
{
    err_code code = OK;
    unsigned next = expert_lists_next(lists, 0);
    while (next < run->config.experts && code == OK) {
        const unsigned expert = next;
        mlp_weights w;
        next = expert_lists_next(lists, expert + 1);
        if (next < run->config.experts) {
            prefetch_expert(run, layer, next);
        }
        code = load_mlp(run, SLOT_EXPERT_GATE, layer, expert, &w, e);
        if (code == OK) {
            run_expert(run, &w, lists, expert);
            code = run_go_on(run, e);
        }
    }
    return code;
}

/* x = x + (sum of routed experts + shared expert) */
static err_code add_shared(model_run *run, unsigned layer, err *e)
{
    ops *const o = run->ops;
    const bool shared = run->config.shared_experts > 0;
    mlp_weights w;
    err_code code = shared ? load_mlp(run, SLOT_SHARED_GATE, layer, 0, &w, e) : OK;
    for (unsigned s = 0; s < run->track_count && code == OK; s++) {
        const mat b = normed_of(run, s);
        const mat sum = sum_of(run, s);
        size_t rows = 0;
        for (size_t row = 0; row < b.rows && shared; row += rows) {
            rows = block_rows(&run->tracks[s], row, b.rows);
            run_scratch_reset(run);
            const mat y = run_scratch(run, rows, run->config.hidden);
            mlp(run, &w, run->tracks[s].fp8, mat_rows(b, row, rows), y);
            o->add(o, mat_rows(sum, row, rows), y);
        }
        o->add(o, run_track(run, s), sum);
        code = run_go_on(run, e);
    }
    return code;
}

static err_code expert_mlp(model_run *run, unsigned layer, err *e)
{
    expert_lists lists = {0};
    err_code code = route(run, layer, e);
    if (code == OK) {
        code = run_go_on(run, e); /* the choices are complete */
    }
    if (code == OK) {
        code = expert_lists_create(run, &lists, e);
    }
    for (unsigned s = 0; s < run->track_count; s++) {
        run->ops->zero(run->ops, sum_of(run, s));
    }
    if (code == OK) {
        code = routed_experts(run, layer, &lists, e);
    }
    expert_lists_free(&lists);
    return code == OK ? add_shared(run, layer, e) : code;
}

err_code run_layer(model_run *run, unsigned layer, err *e)
{
    err_code code = attention(run, layer, e);
    if (code == OK) {
        code =
            layer < run->config.dense_layers ? dense_mlp(run, layer, e) : expert_mlp(run, layer, e);
    }
    return code;
}
