/* The parts that layers of models consist of, and the loops around them. An architecture defines
 * what a part computes, in the order of its paper; which tokens of which track are computed
 * together, with which weights in memory, is decided here for all architectures.
 *
 *     static void attention(const step *s, mat x)        x = x + attention(norm(x))
 *     {
 *         const mat a = norm(s, x, INPUT_NORM);
 *         ...
 *         add(s, x, linear(s, u, DENSE));
 *     }
 *     layer_by_sequence(run, layer, (slot_range){INPUT_NORM, DENSE}, attention, e);
 *
 * A function that returns a mat takes it from scratch memory, which lasts until the formula
 * returns, unless it works in place. A slot is an index into the architecture's table of tensors.
 * */
#ifndef LAYER_H
#define LAYER_H

#include "verify/model/model_run.h"

/* The context in which a formula computes some rows of one track. */
typedef struct step {
    model_run *run;
    const model_config *c;
    const weight *w; /* by slot: the weights of the part, loaded; all others have no rows */
    unsigned layer;
    bool fp8;
    size_t position; /* of the first row in its sequence; only in layer_by_sequence */
} step;

typedef void formula(const step *s, mat x);

typedef struct slot_range {
    unsigned first, last;
} slot_range;

/* Load the tensors of the range that this layer has, then call f for all tracks, for a whole
 * sequence at a time, or in tracks that decode for a token at a time. The cache or state is that of
 * the preceding tokens of the sequence. */
MUST_CHECK err_code layer_by_sequence(model_run *run, unsigned layer, slot_range used, formula *f,
                                      err *e);
/* The same for blocks of tokens of any sequences: f must compute every row independently. */
MUST_CHECK err_code layer_by_block(model_run *run, unsigned layer, slot_range used, formula *f,
                                   err *e);

/* y = expert(x); `first` is the slot of the expert's first matrix. */
typedef mat expert_formula(const step *s, mat x, unsigned first);

/* x = x + the sum of the routed experts of norm(x) + the shared expert of norm(x). The numbers are
 * slots; an expert has three matrices in consecutive slots. */
typedef struct mixture {
    unsigned norm, router;
    unsigned bias;           /* of the router, if the layer has this tensor */
    unsigned expert, shared; /* first matrices; shared: if the layer has this tensor */
    router_shape shape;
    expert_formula *formula;
} mixture;

MUST_CHECK err_code layer_mixture(model_run *run, unsigned layer, const mixture *m, err *e);

/* ---- operations, in the words of papers ------------------------ */

static inline mat linear_biased(const step *s, mat x, unsigned w, unsigned bias)
{
    const mat y = run_scratch(s->run, x.rows, s->w[w].rows);
    const weight *const b = s->w[bias].rows > 0 ? &s->w[bias] : NULL;
    s->run->ops->matmul(s->run->ops, x, &s->w[w], b, s->fp8, y);
    return y;
}

static inline mat linear(const step *s, mat x, unsigned w)
{
    const mat y = run_scratch(s->run, x.rows, s->w[w].rows);
    s->run->ops->matmul(s->run->ops, x, &s->w[w], NULL, s->fp8, y);
    return y;
}

static inline mat norm(const step *s, mat x, unsigned w)
{
    const mat y = run_scratch(s->run, x.rows, x.cols);
    s->run->ops->norm(s->run->ops, x, 1, &s->w[w], s->c->eps, y);
    return y;
}

/* Norm each head separately, in place; all heads use the same weight. */
static inline void norm_heads(const step *s, mat x, unsigned heads, unsigned w)
{
    s->run->ops->norm(s->run->ops, x, heads, &s->w[w], s->c->eps, x);
}

/* In place: the first rotary_dim channels of each head, half-split. */
static inline void rope(const step *s, mat x, unsigned heads)
{
    const unsigned half = s->c->rotary_dim / 2;
    const size_t at = s->position * half;
    s->run->ops->rope(s->run->ops, x, heads, (rotation){.half = half}, s->run->cos + at,
                      s->run->sin + at);
}

/* Heads of head_dim channels with the usual scale; tokens see all preceding keys. */
static inline attention_shape attention_heads(const model_config *c, unsigned kv_heads)
{
    return (attention_shape){.heads = c->heads,
                             .kv_heads = kv_heads,
                             .qk_dim = c->head_dim,
                             .v_dim = c->head_dim,
                             .scale = attention_scale(c->head_dim)};
}

static inline mat softmax_attention(const step *s, attention_shape shape, mat q, mat k, mat v)
{
    const mat y = run_scratch(s->run, q.rows, (size_t)shape.heads * shape.v_dim);
    s->run->ops->attention(s->run->ops, shape, q, k, v, s->position, s->run->state, s->run->length,
                           y);
    return y;
}

static inline mat linear_attention(const step *s, attention_shape shape, mat q, mat k, mat v)
{
    const mat y = run_scratch(s->run, q.rows, (size_t)shape.heads * shape.v_dim);
    s->run->ops->linear_attention(s->run->ops, shape, q, k, v, s->run->decay, s->run->state, y);
    return y;
}

/* norm(u) * sigmoid(g), in place of u */
static inline mat gated(const step *s, mat u, mat g, unsigned groups, unsigned w)
{
    s->run->ops->gate(s->run->ops, u, groups, &s->w[w], s->c->eps, g, u);
    return u;
}

static inline void silu(const step *s, mat x) /* in place */
{
    s->run->ops->silu(s->run->ops, x);
}

/* silu(gate) * up, in place of gate */
static inline mat silu_mul(const step *s, mat gate, mat up)
{
    s->run->ops->silu_mul(s->run->ops, gate, up, gate);
    return gate;
}

static inline void add(const step *s, mat x, mat y) /* x = x + y */
{
    s->run->ops->add(s->run->ops, x, y);
}

/* down(silu(gate x) * up x), an expert_formula: slots gate, gate + 1 (up), gate + 2 (down). */
static inline mat gated_mlp(const step *s, mat x, unsigned gate)
{
    const mat g = linear(s, x, gate);
    const mat u = linear(s, x, gate + 1);
    return linear(s, silu_mul(s, g, u), gate + 2);
}

#endif
