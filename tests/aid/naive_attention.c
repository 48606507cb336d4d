#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/naive_parts.h"

/* NULL, and the ops has failed, without memory. */
static float *scratch(ops *o, size_t floats)
{
    float *const memory = malloc((floats + 1) * sizeof *memory);
    if (memory == NULL) {
        err_set(&naive_of(o)->failure, ERR_MEMORY, "no memory for %zu floats", floats);
    }
    return memory;
}

/* ---- softmax attention ----------------------------------------- */

/* Keys and values of one head; row j of either is that of token j. */
typedef struct kv_head {
    float *keys, *values;
    size_t key_stride, value_stride;
} kv_head;

/* Query q that sees `count` keys, the first ones of m, to y; p has room for `count` floats. */
static void attend(const float *q, kv_head m, size_t count, const attention_shape *shape, float *p,
                   float *y)
{
    assert(count > 0); /* a token sees itself */
    for (size_t j = 0; j < count; j++) {
        float acc = 0;
        for (size_t c = 0; c < shape->qk_dim; c++) {
            acc = fmaf(q[c], m.keys[j * m.key_stride + c], acc);
        }
        p[j] = acc * shape->scale;
    }
    float largest = p[0];
    for (size_t j = 1; j < count; j++) {
        largest = p[j] > largest ? p[j] : largest;
    }
    for (size_t j = 0; j < count; j++) {
        p[j] = naive_exp(p[j] - largest);
    }
    const float sum = naive_sum32(p, count);
    for (size_t j = 0; j < count; j++) {
        p[j] = p[j] / sum;
    }
    for (size_t c = 0; c < shape->v_dim; c++) {
        float acc = 0;
        for (size_t j = 0; j < count; j++) {
            acc = fmaf(p[j], m.values[j * m.value_stride + c], acc);
        }
        y[c] = acc;
    }
}

void naive_attention(ops *o, attention_shape shape, mat q, mat k, mat v, size_t first, float *cache,
                     size_t room, mat y)
{
    const size_t key_width = (size_t)shape.kv_heads * shape.qk_dim;
    const size_t value_width = (size_t)shape.kv_heads * shape.v_dim;
    float *const keys = cache; /* [room, kv_heads, qk_dim] */
    float *const values = cache + room * key_width;
    assert(first + q.rows <= room && shape.heads % shape.kv_heads == 0);
    for (size_t t = 0; t < k.rows; t++) {
        for (size_t c = 0; c < key_width; c++) {
            keys[(first + t) * key_width + c] = *at(k, t, c);
        }
        for (size_t c = 0; c < value_width; c++) {
            values[(first + t) * value_width + c] = *at(v, t, c);
        }
    }
    float *const p = scratch(o, first + q.rows);
    if (p == NULL) {
        return;
    }
    for (size_t t = 0; t < q.rows; t++) {
        for (size_t h = 0; h < shape.heads; h++) {
            const size_t shared = h / (shape.heads / shape.kv_heads);
            const size_t seen = first + t + 1; /* without a window */
            const size_t a = shape.window && seen > shape.window ? seen - shape.window : 0;
            const kv_head m = {keys + a * key_width + shared * shape.qk_dim,
                               values + a * value_width + shared * shape.v_dim, key_width,
                               value_width};
            attend(at(q, t, h * shape.qk_dim), m, seen - a, &shape, p, at(y, t, h * shape.v_dim));
        }
    }
    free(p);
}

/* ---- linear attention ------------------------------------------ */

void naive_linear_attention(ops *o, attention_shape shape, mat q, mat k, mat v, const float *decay,
                            float *state, mat y)
{
    (void)o;
    const size_t d = shape.qk_dim;
    const size_t dv = shape.v_dim;
    assert(shape.kv_heads == shape.heads && shape.window == 0);
    for (size_t t = 0; t < q.rows; t++) {
        for (size_t h = 0; h < shape.heads; h++) {
            float *const s = state + h * d * dv; /* [i][c] */
            for (size_t i = 0; i < d; i++) {
                for (size_t c = 0; c < dv; c++) {
                    const float faded = decay[h] * s[i * dv + c];
                    s[i * dv + c] = fmaf(*at(k, t, h * d + i), *at(v, t, h * dv + c), faded);
                }
            }
            for (size_t c = 0; c < dv; c++) {
                float acc = 0;
                for (size_t i = 0; i < d; i++) {
                    acc = fmaf(*at(q, t, h * d + i), s[i * dv + c], acc);
                }
                *at(y, t, h * dv + c) = acc * shape.scale;
            }
        }
    }
}

/* ---- router ---------------------------------------------------- */

static float group_score(const float *biased, size_t experts)
{
    if (experts == 1) {
        return biased[0];
    }
    size_t largest = 0;
    for (size_t e = 1; e < experts; e++) {
        largest = biased[e] > biased[largest] ? e : largest;
    }
    size_t second = largest == 0 ? 1 : 0;
    for (size_t e = 0; e < experts; e++) {
        second = e != largest && biased[e] > biased[second] ? e : second;
    }
    return biased[largest] + biased[second];
}

/* Would x[a] be taken before x[b]? */
static bool before(const float *x, size_t a, size_t b)
{
    return x[a] > x[b] || (x[a] == x[b] && a < b);
}

/* Is number `i` among the first `top` of those of 0 … count - 1 that may be taken? */
static bool among_top(const float *x, const bool *may, size_t count, size_t i, size_t top)
{
    size_t ahead = 0;
    for (size_t other = 0; other < count; other++) {
        ahead += may[other] && before(x, other, i);
    }
    return may[i] && ahead < top;
}

typedef struct routing {
    float *s, *biased, *score; /* experts, experts, groups */
    bool *group, *expert;      /* groups that stay, experts of them */
} routing;

/* The numbers of the experts of one token. */
static void choose(routing r, const router_shape *shape, uint32_t *index)
{
    const size_t part = shape->experts / shape->groups;
    for (size_t g = 0; g < shape->groups; g++) {
        r.score[g] = group_score(r.biased + g * part, part);
        r.group[g] = true;
    }
    for (size_t e = 0; e < shape->experts; e++) {
        r.expert[e] = among_top(r.score, r.group, shape->groups, e / part, shape->top_groups);
    }
    size_t selected = 0;
    for (size_t e = 0; e < shape->experts; e++) {
        if (among_top(r.biased, r.expert, shape->experts, e, shape->top_k)) {
            assert(selected < shape->top_k);
            index[selected++] = (uint32_t)e;
        }
    }
}

static void weigh(const float *s, const router_shape *shape, const uint32_t *index, float *weights)
{
    float sum = 0;
    for (size_t i = 0; i < shape->top_k; i++) {
        sum = sum + s[index[i]];
    }
    for (size_t i = 0; i < shape->top_k; i++) {
        const float x = s[index[i]];
        weights[i] = shape->normalize ? x / (sum + 1e-20f) * shape->scaling : x * shape->scaling;
    }
}

static void route_token(routing r, const router_shape *shape, size_t t, const routes *out)
{
    uint32_t *const index = out->index + t * shape->top_k;
    if (out->choice) {
        memcpy(index, out->choice + t * shape->top_k, shape->top_k * sizeof *index);
    } else {
        choose(r, shape, index);
    }
    weigh(r.s, shape, index, out->weights + t * shape->top_k);
    if (out->scores) {
        memcpy(out->scores + t * shape->experts, r.biased, shape->experts * sizeof(float));
    }
}

void naive_route(ops *o, mat z, const router_shape *shape, const float *bias, const routes *out)
{
    const size_t experts = shape->experts;
    assert(experts % shape->groups == 0);
    float *const memory = scratch(o, 3 * experts);
    bool *const marks = calloc(2 * experts, sizeof *marks);
    if (memory == NULL || marks == NULL) {
        err_set(&naive_of(o)->failure, ERR_MEMORY, "no memory for %zu experts", experts);
        free(memory);
        free(marks);
        return;
    }
    const routing r = {memory, memory + experts, memory + 2 * experts, marks, marks + experts};
    for (size_t t = 0; t < z.rows; t++) {
        for (size_t e = 0; e < experts; e++) {
            r.s[e] = naive_sigmoid(*at(z, t, e));
            r.biased[e] = bias ? r.s[e] + bias[e] : r.s[e];
        }
        route_token(r, shape, t, out);
    }
    free(memory);
    free(marks);
}
