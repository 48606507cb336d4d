/* Attention and linear attention (spec/forward.md section 5) for some tokens of one head, on one
 * thread. A levelled source (format/base/levelled.h).
 *
 * Calls may run in parallel if they have different outputs (and columns of the state) and different
 * work spaces. */
#ifndef ATTENTION_KERNEL_H
#define ATTENTION_KERNEL_H

#include "format/base/levelled.h"
#include "format/base/num.h"
#include "verify/ops/ops.h"

/* Tokens for which keys and values are read together; columns of a state that advance together. */
enum { ATTENTION_TOKENS = 6, LINEAR_COLUMNS = 32 };

typedef struct attention_job {
    attention_shape shape;
    mat q, y;
    size_t first;        /* position of row 0 */
    size_t room;         /* capacity of the cache, in tokens */
    const float *keys;   /* [kv_heads][qk_dim][room] */
    const float *values; /* [kv_heads][room][v_dim] */
} attention_job;

typedef struct linear_job {
    attention_shape shape;
    mat q, k, v, y;
    const float *decay; /* [heads] */
    float *state;       /* [heads][qk_dim][v_dim], i then c */
} linear_job;

typedef struct attention_kernel {
    const char *name;

    /* `tokens` <= ATTENTION_TOKENS rows from `row` on. work: attention_work_floats(). */
    void (*attend)(const attention_job *job, size_t row, size_t tokens, size_t head, float *work);

    /* All rows, LINEAR_COLUMNS columns of v from `col` on. work: linear_work_floats(). */
    void (*advance)(const linear_job *job, size_t head, size_t col, float *work);
} attention_kernel;

LEVELLED_TABLES(attention_kernel)

/* Floats between the scores of two tokens, for `keys` keys. */
static inline size_t attention_pitch(size_t keys)
{
    return num_ceil_div(keys, 16) * 16;
}

static inline size_t attention_work_floats(size_t keys)
{
    return ATTENTION_TOKENS * attention_pitch(keys);
}

static inline size_t linear_work_floats(attention_shape shape)
{
    return (size_t)shape.qk_dim * LINEAR_COLUMNS;
}

#endif
