/* Internal to the CPU operations: their state, work spaces that grow as needed, and the functions
 * of their files. */
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
    ops base; /* first: an ops * made here is an ops_state * */
    thread_pool *pool;
    unsigned threads;
    const matmul_kernel *matmul;
    const row_kernel *row;
    const attention_kernel *attention;
    ops_space common, own; /* one for all threads; one with a part for each thread */
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

/* A work space of all threads, valid until the next call; its contents are undefined. NULL: no
 * memory, and the failure is kept for `status`. */
float *ops_common_space(ops_state *s, size_t floats);

/* The same with a part for each thread: that of worker w begins at w * *pitch. */
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

void ops_router_route(ops *o, mat z, const router_shape *shape, const float *bias,
                      const routes *out);

#endif
