/* Internal to the naive operations (ops_naive.h): functions and sums of spec/forward.md, weights,
 * codes. */
#ifndef NAIVE_PARTS_H
#define NAIVE_PARTS_H

#include <assert.h>

#include "verify/ops/ops.h"

enum { NAIVE_GROUP = 128, E4M3_LARGEST = 0x7e };

typedef struct naive {
    ops base; /* the first member */
    err failure;
    unsigned loaded;              /* weights that are loaded now */
    float e4m3[E4M3_LARGEST + 1]; /* the values of the codes without a sign, ascending */
} naive;

static inline naive *naive_of(ops *o)
{
    return (naive *)o;
}

static inline float *at(mat x, size_t row, size_t col)
{
    assert(row < x.rows && col < x.cols && x.cols <= x.stride);
    return x.data + row * x.stride + col;
}

void naive_e4m3_table(naive *o);

/* Section 3 and 4. */
float naive_exp(float x);
float naive_sigmoid(float x);
float naive_silu(float x);
float naive_sum32(const float *x, size_t n);
float naive_sumsq32(const float *x, size_t n);

/* Section 2, and spec/quant.md sections 2 and 3. */
float naive_e4m3_value(const naive *o, uint8_t code);
uint8_t naive_e4m3_nearest(const naive *o, float y);
float naive_tile_scale(float amax, bool pow2);
uint8_t naive_weight_code(const weight *w, size_t row, size_t col);
float naive_weight_scale(const weight *w, size_t row, size_t col);
float naive_weight_value(const naive *o, const weight *w, size_t row, size_t col);

/* Section 5, where it needs more than loops over rows. */
void naive_attention(ops *o, attention_shape shape, mat q, mat k, mat v, size_t first, float *cache,
                     size_t room, mat y);
void naive_linear_attention(ops *o, attention_shape shape, mat q, mat k, mat v, const float *decay,
                            float *state, mat y);
void naive_route(ops *o, mat z, const router_shape *shape, const float *bias, const routes *out);

#endif
