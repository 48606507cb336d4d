/* What the files of the CPU operations share: their state, and work spaces that grow as needed. */
#ifndef OPS_STATE_H
#define OPS_STATE_H

#include "format/thread/thread_pool.h"
#include "verify/ops/attention_kernel.h"
#include "verify/ops/matmul_kernel.h"
#include "verify/ops/ops.h"
#include "verify/ops/row_kernel.h"

typedef struct ops_space {
    float *data; /* aligned to 64 bytes */
    size_t floats;
} ops_space;

typedef struct ops_state {
    ops base; /* first: an ops * of ours is an ops_state * */
    thread_pool *pool;
    unsigned threads;
    const matmul_kernel *matmul;
    const row_kernel *row;
    const attention_kernel *attention;
    ops_space common, own; /* of all threads together; one part for each */
    err failure;
} ops_state;

static inline ops_state *ops_state_of(ops *o)
{
    return (ops_state *)o;
}

static inline bool ops_failed(const ops_state *s)
{
    return s->failure.code != OK;
}

/* Any content; valid until the next call. NULL: no memory, and the failure is noted. */
float *ops_common_space(ops_state *s, size_t floats);

/* The same for each thread: that of worker w begins `*pitch` floats behind that of worker w - 1. */
float *ops_own_space(ops_state *s, size_t floats, size_t *pitch);

/* The members of struct ops, by file. */

void ops_rows_add(ops *o, mat x, mat y);
void ops_rows_zero(ops *o, mat x);
void ops_rows_norm(ops *o, mat x, unsigned groups, const weight *w, float eps, mat y);
void ops_rows_gate(ops *o, mat u, unsigned groups, const weight *w, float eps, mat g, mat y);
void ops_rows_rope(ops *o, mat x, unsigned heads, rotation r, const float *cos, const float *sin);
void ops_rows_add_bias(ops_state *s, mat x, const weight *bias); /* to every row */
void ops_rows_silu(ops *o, mat x);
void ops_rows_silu_mul(ops *o, mat gate, mat up, mat y);
void ops_rows_gather(ops *o, mat x, const uint32_t *rows, mat y);
void ops_rows_scatter(ops *o, mat y, const uint32_t *rows, const float *weights, mat x);

void ops_matmul(ops *o, mat x, const weight *w, const weight *bias, bool fp8, mat y);

void ops_attention(ops *o, attention_shape shape, mat q, mat k, mat v, size_t first, float *cache,
                   size_t room, mat y);
void ops_linear_attention(ops *o, attention_shape shape, mat q, mat k, mat v, const float *decay,
                          float *state, mat y);

void ops_router_route(ops *o, mat z, const router_shape *shape, const float *bias, uint32_t *index,
                      float *weights);

#endif
