/* Ring-linear 2.0 and the softmax-only Ling and Ring 2.0, one layer (spec/forward.md section 6). */
#include "format/base/num.h"
#include "verify/model/expert_lists.h"
#include "verify/model/pass.h"

/* ---- attention ------------------------------------------------- */

typedef struct attention_weights {
    bool linear;
    weight input_norm, qkv, q_norm, k_norm, dense;
    weight g_proj, g_norm; /* linear */
} attention_weights;

static err_code load_attention(pass *p, unsigned layer, attention_weights *w, err *e)
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
    w->linear = model_layer_kind(&p->config, layer) == LAYER_LINEAR;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && code == OK; i++) {
        if (w->linear || !parts[i].linear_only) {
            code = pass_load(p, parts[i].slot, layer, 0, parts[i].to, e);
        }
    }
    return code;
}

/* x = x + attention(norm(x)) for some tokens of one sequence, the first of them at `position`. */
static void attend(pass *p, const attention_weights *w, bool fp8, size_t position, mat x)
{
    ops *const o = p->ops;
    const model_config *const c = &p->config;
    const attention_shape shape = {c->heads,    w->linear ? c->heads : c->kv_heads, c->head_dim,
                                   c->head_dim, attention_scale(c->head_dim),       0};
    const size_t q_width = (size_t)c->heads * c->head_dim;
    const size_t kv_width = (size_t)shape.kv_heads * c->head_dim;
    const unsigned half = c->rotary_dim / 2;
    const float *const cos = p->cos + position * half;
    const float *const sin = p->sin + position * half;

    pass_scratch_reset(p);
    const mat a = pass_scratch(p, x.rows, c->hidden);
    const mat qkv = pass_scratch(p, x.rows, q_width + 2 * kv_width);
    const mat u = pass_scratch(p, x.rows, q_width);
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
        const mat g = pass_scratch(p, x.rows, q_width);
        o->linear_attention(o, shape, q, k, v, p->decay, p->state, u);
        o->matmul(o, a, &w->g_proj, NULL, fp8, g);
        o->gate(o, u, c->norm_groups, &w->g_norm, c->eps, g, u);
    } else {
        o->attention(o, shape, q, k, v, position, p->state, p->length, u);
    }
    o->matmul(o, u, &w->dense, NULL, fp8, a);
    o->add(o, x, a);
}

static err_code attention(pass *p, unsigned layer, err *e)
{
    attention_weights w = {0};
    err_code code = load_attention(p, layer, &w, e);
    for (unsigned s = 0; s < p->stream_count && code == OK; s++) {
        const stream *const st = &p->streams[s];
        const size_t step = st->decode ? 1 : p->length;
        model_decay(&p->config, st->slope, layer, p->decay);
        for (size_t row = 0; row < pass_tokens(p) && code == OK; row += step) {
            const size_t position = row % p->length;
            if (position == 0) {
                pass_clear_state(p);
            }
            attend(p, &w, st->fp8, position, mat_rows(pass_stream(p, s), row, step));
            code = pass_go_on(p, e);
        }
    }
    return code;
}

/* ---- MLP ------------------------------------------------------- */

typedef struct mlp_weights {
    weight gate, up, down;
} mlp_weights;

/* `first` is the slot of the gate; those of up and down follow it. */
static err_code load_mlp(pass *p, tensor_slot first, unsigned layer, unsigned expert,
                         mlp_weights *w, err *e)
{
    weight *const parts[] = {&w->gate, &w->up, &w->down};
    err_code code = OK;
    for (unsigned i = 0; i < 3 && code == OK; i++) {
        code = pass_load(p, (tensor_slot)(first + i), layer, expert, parts[i], e);
    }
    return code;
}

/* y = down(silu(gate x) * up x) */
static void mlp(pass *p, const mlp_weights *w, bool fp8, mat x, mat y)
{
    ops *const o = p->ops;
    const mat gate = pass_scratch(p, x.rows, w->gate.rows);
    const mat up = pass_scratch(p, x.rows, w->up.rows);
    o->matmul(o, x, &w->gate, NULL, fp8, gate);
    o->matmul(o, x, &w->up, NULL, fp8, up);
    o->silu_mul(o, gate, up, gate);
    o->matmul(o, gate, &w->down, NULL, fp8, y);
}

/* Tokens of a stream that are worked on together, from row `row` on, of `rows`. */
static size_t block_rows(const stream *s, size_t row, size_t rows)
{
    return s->decode ? 1 : num_min(PASS_BLOCK, rows - row);
}

/* x = x + mlp(norm(x)) */
static err_code dense_mlp(pass *p, unsigned layer, err *e)
{
    ops *const o = p->ops;
    weight norm;
    mlp_weights w;
    err_code code = pass_load(p, SLOT_POST_NORM, layer, 0, &norm, e);
    if (code == OK) {
        code = load_mlp(p, SLOT_GATE_PROJ, layer, 0, &w, e);
    }
    for (unsigned s = 0; s < p->stream_count && code == OK; s++) {
        const mat all = pass_stream(p, s);
        size_t rows = 0;
        for (size_t row = 0; row < all.rows && code == OK; row += rows) {
            rows = block_rows(&p->streams[s], row, all.rows);
            const mat x = mat_rows(all, row, rows);
            pass_scratch_reset(p);
            const mat b = pass_scratch(p, rows, p->config.hidden);
            const mat y = pass_scratch(p, rows, p->config.hidden);
            o->norm(o, x, 1, &norm, p->config.eps, b);
            mlp(p, &w, p->streams[s].fp8, b, y);
            o->add(o, x, y);
            code = pass_go_on(p, e);
        }
    }
    return code;
}

/* ---- experts --------------------------------------------------- */

/* The normed hidden states and the sums of the experts, shaped like those of a stream. */
static mat normed_of(const pass *p, unsigned s)
{
    mat m = pass_stream(p, s);
    m.data = p->normed + (m.data - p->hidden);
    return m;
}

static mat sum_of(const pass *p, unsigned s)
{
    mat m = pass_stream(p, s);
    m.data = p->sum + (m.data - p->hidden);
    return m;
}

/* Norm all hidden states and choose experts for each token. */
static err_code route(pass *p, unsigned layer, err *e)
{
    ops *const o = p->ops;
    const model_config *const c = &p->config;
    const router_shape shape = {c->experts,    c->top_k,     c->groups,
                                c->top_groups, c->norm_topk, c->routed_scaling};
    weight norm;
    weight router;
    weight bias;
    err_code code = pass_load(p, SLOT_POST_NORM, layer, 0, &norm, e);
    if (code == OK) {
        code = pass_load(p, SLOT_ROUTER, layer, 0, &router, e);
    }
    if (code == OK && c->expert_bias) {
        code = pass_load(p, SLOT_EXPERT_BIAS, layer, 0, &bias, e);
    }
    if (code == OK && c->expert_bias) {
        weight_widen_row(&bias, 0, p->bias);
    }
    for (unsigned s = 0; s < p->stream_count && code == OK; s++) {
        const mat b = normed_of(p, s);
        stream *const st = &p->streams[s];
        o->norm(o, pass_stream(p, s), 1, &norm, c->eps, b);
        size_t rows = 0;
        for (size_t row = 0; row < b.rows && !st->forced; row += rows) {
            rows = block_rows(st, row, b.rows);
            pass_scratch_reset(p);
            const mat z = pass_scratch(p, rows, c->experts);
            o->matmul(o, mat_rows(b, row, rows), &router, NULL, st->fp8, z);
            o->route(o, z, &shape, c->expert_bias ? p->bias : NULL,
                     st->chosen.index + row * c->top_k, st->chosen.share + row * c->top_k);
        }
    }
    return code;
}

/* The tokens of one expert, stream by stream. */
static void run_expert(pass *p, const mlp_weights *w, const expert_lists *lists, unsigned expert)
{
    ops *const o = p->ops;
    for (unsigned s = 0; s < p->stream_count; s++) {
        const expert_list list = expert_lists_get(lists, s, expert);
        size_t rows = 0;
        for (size_t i = 0; i < list.count; i += rows) {
            rows = block_rows(&p->streams[s], i, list.count);
            pass_scratch_reset(p);
            const mat x = pass_scratch(p, rows, p->config.hidden);
            const mat y = pass_scratch(p, rows, p->config.hidden);
            o->gather(o, normed_of(p, s), list.rows + i, x);
            mlp(p, w, p->streams[s].fp8, x, y);
            o->scatter(o, y, list.rows + i, list.shares + i, sum_of(p, s));
        }
    }
}

static void prefetch_expert(pass *p, unsigned layer, unsigned expert)
{
    pass_prefetch(p, SLOT_EXPERT_GATE, layer, expert);
    pass_prefetch(p, SLOT_EXPERT_UP, layer, expert);
    pass_prefetch(p, SLOT_EXPERT_DOWN, layer, expert);
}

/* Routed experts, one after the other in ascending order. */
static err_code routed_experts(pass *p, unsigned layer, const expert_lists *lists, err *e)
{
    err_code code = OK;
    unsigned next = expert_lists_next(lists, 0);
    while (next < p->config.experts && code == OK) {
        const unsigned expert = next;
        mlp_weights w;
        next = expert_lists_next(lists, expert + 1);
        if (next < p->config.experts) {
            prefetch_expert(p, layer, next);
        }
        code = load_mlp(p, SLOT_EXPERT_GATE, layer, expert, &w, e);
        if (code == OK) {
            run_expert(p, &w, lists, expert);
            code = pass_go_on(p, e);
        }
    }
    return code;
}

/* x = x + (sum of routed experts + shared expert) */
static err_code add_shared(pass *p, unsigned layer, err *e)
{
    ops *const o = p->ops;
    const bool shared = p->config.shared_experts > 0;
    mlp_weights w;
    err_code code = shared ? load_mlp(p, SLOT_SHARED_GATE, layer, 0, &w, e) : OK;
    for (unsigned s = 0; s < p->stream_count && code == OK; s++) {
        const mat b = normed_of(p, s);
        const mat sum = sum_of(p, s);
        size_t rows = 0;
        for (size_t row = 0; row < b.rows && shared; row += rows) {
            rows = block_rows(&p->streams[s], row, b.rows);
            pass_scratch_reset(p);
            const mat y = pass_scratch(p, rows, p->config.hidden);
            mlp(p, &w, p->streams[s].fp8, mat_rows(b, row, rows), y);
            o->add(o, mat_rows(sum, row, rows), y);
        }
        o->add(o, pass_stream(p, s), sum);
        code = pass_go_on(p, e);
    }
    return code;
}

static err_code expert_mlp(pass *p, unsigned layer, err *e)
{
    expert_lists lists = {0};
    err_code code = route(p, layer, e);
    if (code == OK) {
        code = pass_go_on(p, e); /* the choices are complete */
    }
    if (code == OK) {
        code = expert_lists_create(p, &lists, e);
    }
    for (unsigned s = 0; s < p->stream_count; s++) {
        p->ops->zero(p->ops, sum_of(p, s));
    }
    if (code == OK) {
        code = routed_experts(p, layer, &lists, e);
    }
    expert_lists_free(&lists);
    return code == OK ? add_shared(p, layer, e) : code;
}

err_code pass_layer(pass *p, unsigned layer, err *e)
{
    err_code code = attention(p, layer, e);
    if (code == OK) {
        code = layer < p->config.dense_layers ? dense_mlp(p, layer, e) : expert_mlp(p, layer, e);
    }
    return code;
}
