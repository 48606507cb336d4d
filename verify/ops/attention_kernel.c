/* Keys are transposed, so that a vector holds adjacent keys and a score stays one chain over
 * channels. Values are not, so that a vector holds adjacent channels and an output stays one chain
 * over keys. Blocks of ATTENTION_TOKENS x BLOCK sums stay in registers, of which AVX2 has just
 * enough; the remaining tokens are done one by one. */
#include "verify/ops/attention_kernel.h"

#include <math.h>
#include <string.h>

#include "verify/ops/elementary.h"
#include "verify/ops/lane_sum.h"

#define INLINED static inline __attribute__((always_inline))

enum { BLOCK = 16 }; /* keys or channels */

/* Some tokens of one head. */
typedef struct span {
    const attention_job *job;
    const float *q; /* [tokens], q.stride apart */
    float *y;       /* [tokens], y.stride apart */
    const float *keys, *values;
    float *scores; /* [tokens][pitch] */
    size_t pitch;
    size_t first; /* position of the first token, which is also the last key that it sees */
    size_t tokens;
} span;

/* The first key that the token at `position` sees. */
static size_t first_key(const span *s, size_t position)
{
    const size_t window = s->job->shape.window;
    return window > 0 && position >= window ? position + 1 - window : 0;
}

/* ---- scores ---------------------------------------------------- */

/* The scores of `count` keys from `key` on, without the scale, for tokens t ... t + tokens - 1. */
INLINED void score_keys(const span *s, size_t t, size_t key, size_t count, const unsigned tokens)
{
    const size_t room = s->job->room;
    const size_t stride = s->job->q.stride;
    const float *restrict q = s->q + t * stride;
    const float *restrict keys = s->keys + key;
    float a[ATTENTION_TOKENS][BLOCK];
    memset(a, 0, sizeof a);
    for (size_t c = 0; c < s->job->shape.qk_dim; c++) {
#pragma GCC unroll 6
        for (size_t i = 0; i < tokens; i++) {
            const float factor = q[i * stride + c];
#pragma GCC unroll 1
            for (size_t l = 0; l < count; l++) {
                a[i][l] = fmaf(factor, keys[c * room + l], a[i][l]);
            }
        }
    }
    for (size_t i = 0; i < tokens; i++) {
        memcpy(s->scores + (t + i) * s->pitch + key, a[i], count * sizeof(float));
    }
}

/* Scores are computed for blocks of tokens and keys; those of keys that a token does not see are
 * ignored. */
static void score(const span *s)
{
    const size_t keys = s->first + s->tokens;
    for (size_t key = first_key(s, s->first) / BLOCK * BLOCK; key < keys; key += BLOCK) {
        const size_t count = num_min(BLOCK, keys - key);
        if (count == BLOCK && s->tokens == ATTENTION_TOKENS) {
            score_keys(s, 0, key, BLOCK, ATTENTION_TOKENS);
            continue;
        }
        for (size_t t = 0; t < s->tokens; t++) {
            if (count == BLOCK) {
                score_keys(s, t, key, BLOCK, 1);
            } else {
                score_keys(s, t, key, count, 1);
            }
        }
    }
}

/* ---- probabilities --------------------------------------------- */

static float largest_of(const float *x, size_t n)
{
    float largest = x[0];
    for (size_t j = 1; j < n; j++) {
        largest = x[j] > largest ? x[j] : largest;
    }
    return largest;
}

static void softmax(float *restrict x, size_t n, float scale)
{
    for (size_t j = 0; j < n; j++) {
        x[j] = x[j] * scale;
    }
    const float largest = largest_of(x, n);
    for (size_t j = 0; j < n; j++) {
        x[j] = elementary_exp(x[j] - largest);
    }
    const float sum = sum32(x, n);
    for (size_t j = 0; j < n; j++) {
        x[j] = x[j] / sum;
    }
}

/* ---- values ---------------------------------------------------- */

/* Continue the chain of one token with keys [from, to), in ascending order. */
INLINED void mix_some(const span *s, size_t t, size_t c, size_t count, size_t from, size_t to,
                      float *restrict a)
{
    const size_t dim = s->job->shape.v_dim;
    const float *restrict p = s->scores + t * s->pitch;
    const float *restrict values = s->values + c;
    for (size_t j = from; j < to; j++) {
        for (size_t l = 0; l < count; l++) {
            a[l] = fmaf(p[j], values[j * dim + l], a[l]);
        }
    }
}

/* `count` channels from `c` on, of tokens t ... t + tokens - 1. In the order of keys: those that
 * only the first tokens still see (with a window), those that all tokens see, and those that only
 * the last tokens already see. */
INLINED void mix_values(const span *s, size_t t, size_t c, size_t count, const unsigned tokens)
{
    const size_t pitch = s->pitch;
    const size_t dim = s->job->shape.v_dim;
    const size_t position = s->first + t;
    const size_t common = num_min(first_key(s, position + tokens - 1), position + 1);
    const float *restrict p = s->scores + t * pitch;
    const float *restrict values = s->values + c;
    float a[ATTENTION_TOKENS][BLOCK];
    memset(a, 0, sizeof a);
    for (size_t i = 0; i < tokens && common > 0; i++) {
        mix_some(s, t + i, c, count, first_key(s, position + i), common, a[i]);
    }
    for (size_t j = common; j < position + 1; j++) {
#pragma GCC unroll 6
        for (size_t i = 0; i < tokens; i++) {
            const float factor = p[i * pitch + j];
#pragma GCC unroll 1
            for (size_t l = 0; l < count; l++) {
                a[i][l] = fmaf(factor, values[j * dim + l], a[i][l]);
            }
        }
    }
    for (size_t i = 0; i < tokens; i++) {
        const size_t own = first_key(s, position + i);
        mix_some(s, t + i, c, count, own > position ? own : position + 1, position + i + 1, a[i]);
        memcpy(s->y + (t + i) * s->job->y.stride + c, a[i], count * sizeof(float));
    }
}

static void mix(const span *s)
{
    const size_t dim = s->job->shape.v_dim;
    for (size_t c = 0; c < dim; c += BLOCK) {
        const size_t count = num_min(BLOCK, dim - c);
        if (count == BLOCK && s->tokens == ATTENTION_TOKENS) {
            mix_values(s, 0, c, BLOCK, ATTENTION_TOKENS);
            continue;
        }
        for (size_t t = 0; t < s->tokens; t++) {
            if (count == BLOCK) {
                mix_values(s, t, c, BLOCK, 1);
            } else {
                mix_values(s, t, c, count, 1);
            }
        }
    }
}

static void attend(const attention_job *job, size_t row, size_t tokens, size_t head, float *work)
{
    const size_t qk_dim = job->shape.qk_dim;
    const size_t v_dim = job->shape.v_dim;
    const size_t kv_head = head / (job->shape.heads / job->shape.kv_heads);
    const span s = {.job = job,
                    .q = job->q.data + row * job->q.stride + head * qk_dim,
                    .y = job->y.data + row * job->y.stride + head * v_dim,
                    .keys = job->keys + kv_head * qk_dim * job->room,
                    .values = job->values + kv_head * v_dim * job->room,
                    .scores = work,
                    .pitch = attention_pitch(job->first + row + tokens),
                    .first = job->first + row,
                    .tokens = tokens};
    score(&s);
    for (size_t t = 0; t < tokens; t++) {
        const size_t from = first_key(&s, s.first + t);
        softmax(work + t * s.pitch + from, s.first + t + 1 - from, job->shape.scale);
    }
    mix(&s);
}

/* ---- linear attention ------------------------------------------ */

static void copy_state(float *to, size_t to_pitch, const float *from, size_t from_pitch,
                       size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++) {
        memcpy(to + i * to_pitch, from + i * from_pitch, cols * sizeof *to);
    }
}

/* One token: `state` [dim][LINEAR_COLUMNS]. */
static void step(float *restrict state, size_t dim, float decay, const float *restrict q,
                 const float *restrict k, const float *restrict v, float *restrict o)
{
    float sum[LINEAR_COLUMNS] = {0};
    for (size_t i = 0; i < dim; i++) {
        float *restrict s = state + i * LINEAR_COLUMNS;
        for (size_t c = 0; c < LINEAR_COLUMNS; c++) {
            s[c] = fmaf(k[i], v[c], decay * s[c]);
            sum[c] = fmaf(q[i], s[c], sum[c]);
        }
    }
    memcpy(o, sum, sizeof sum);
}

static void advance(const linear_job *job, size_t head, size_t col, float *work)
{
    const size_t dim = job->shape.qk_dim;
    const size_t v_dim = job->shape.v_dim;
    const size_t cols = num_min(LINEAR_COLUMNS, v_dim - col);
    const size_t at = head * dim;
    float *const state = job->state + head * dim * v_dim + col;
    float v[LINEAR_COLUMNS] = {0}; /* zeros beyond the last column */
    float o[LINEAR_COLUMNS];
    memset(work, 0, dim * LINEAR_COLUMNS * sizeof *work);
    copy_state(work, LINEAR_COLUMNS, state, v_dim, dim, cols);
    for (size_t t = 0; t < job->q.rows; t++) {
        memcpy(v, job->v.data + t * job->v.stride + head * v_dim + col, cols * sizeof *v);
        step(work, dim, job->decay[head], job->q.data + t * job->q.stride + at,
             job->k.data + t * job->k.stride + at, v, o);
        float *const y = job->y.data + t * job->y.stride + head * v_dim + col;
        for (size_t c = 0; c < cols; c++) {
            y[c] = o[c] * job->shape.scale;
        }
    }
    copy_state(state, v_dim, work, LINEAR_COLUMNS, dim, cols);
}

const attention_kernel LEVELLED(attention_kernel) = {LEVEL_NAME, attend, advance};
