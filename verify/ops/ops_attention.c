#include <math.h>
#include <string.h>

#include "format/base/num.h"
#include "verify/ops/ops_state.h"

float attention_scale(unsigned dim)
{
    return (float)(1 / sqrtl((long double)dim));
}

/* ---- softmax attention ----------------------------------------- */

typedef struct attention_run {
    const attention_kernel *kernel;
    attention_job job;
    mat k, v;
    float *keys, *values; /* those of the job */
    size_t blocks;        /* of tokens */
    float *work;
    size_t work_pitch;
} attention_run;

/* Append the keys and values of one head to the cache. */
static void store_task(void *ctx, unsigned worker, size_t head)
{
    const attention_run *const r = ctx;
    (void)worker;
    const size_t qk_dim = r->job.shape.qk_dim;
    const size_t v_dim = r->job.shape.v_dim;
    const size_t room = r->job.room;
    float *const keys = r->keys + head * qk_dim * room + r->job.first;
    float *const values = r->values + (head * room + r->job.first) * v_dim;
    for (size_t t = 0; t < r->k.rows; t++) {
        const float *const k = r->k.data + t * r->k.stride + head * qk_dim;
        const float *const v = r->v.data + t * r->v.stride + head * v_dim;
        for (size_t c = 0; c < qk_dim; c++) {
            keys[c * room + t] = k[c];
        }
        memcpy(values + t * v_dim, v, v_dim * sizeof *values);
    }
}

/* Consecutive tasks are heads of one group, which use the same keys and values. The last tokens
 * come first, because they see the most keys: so no long task is left for the end. */
static void attend_task(void *ctx, unsigned worker, size_t task)
{
    const attention_run *const r = ctx;
    const size_t block = r->blocks - 1 - task / r->job.shape.heads;
    const size_t head = task % r->job.shape.heads;
    const size_t row = block * ATTENTION_TOKENS;
    r->kernel->attend(&r->job, row, num_min(ATTENTION_TOKENS, r->job.q.rows - row), head,
                      r->work + worker * r->work_pitch);
}

void ops_attention(ops *o, attention_shape shape, mat q, mat k, mat v, size_t first, float *cache,
                   size_t room, mat y)
{
    ops_state *const s = ops_state_of(o);
    if (ops_failed(s) || q.rows == 0) {
        return;
    }
    float *const values = cache + (size_t)shape.kv_heads * shape.qk_dim * room;
    attention_run r = {.kernel = s->attention,
                       .job = {.shape = shape,
                               .q = q,
                               .y = y,
                               .first = first,
                               .room = room,
                               .keys = cache,
                               .values = values},
                       .k = k,
                       .v = v,
                       .keys = cache,
                       .values = values,
                       .blocks = num_ceil_div(q.rows, ATTENTION_TOKENS)};
    r.work = ops_own_space(s, attention_work_floats(first + q.rows), &r.work_pitch);
    if (!r.work) {
        return;
    }
    thread_pool_run(s->pool, shape.kv_heads, store_task, &r);
    thread_pool_run(s->pool, r.blocks * shape.heads, attend_task, &r);
}

/* ---- linear attention ------------------------------------------ */

typedef struct linear_run {
    const attention_kernel *kernel;
    linear_job job;
    size_t blocks; /* of columns */
    float *work;
    size_t work_pitch;
} linear_run;

static void advance_task(void *ctx, unsigned worker, size_t task)
{
    const linear_run *const r = ctx;
    r->kernel->advance(&r->job, task / r->blocks, task % r->blocks * LINEAR_COLUMNS,
                       r->work + worker * r->work_pitch);
}

void ops_linear_attention(ops *o, attention_shape shape, mat q, mat k, mat v, const float *decay,
                          float *state, mat y)
{
    ops_state *const s = ops_state_of(o);
    if (ops_failed(s) || q.rows == 0) {
        return;
    }
    linear_run r = {
        .kernel = s->attention,
        .job = {.shape = shape, .q = q, .k = k, .v = v, .y = y, .decay = decay, .state = state},
        .blocks = num_ceil_div(shape.v_dim, LINEAR_COLUMNS)};
    r.work = ops_own_space(s, linear_work_floats(shape), &r.work_pitch);
    if (r.work) {
        thread_pool_run(s->pool, shape.heads * r.blocks, advance_task, &r);
    }
}
