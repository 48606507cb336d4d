/* The operations that a model is made of (spec/forward.md section 5): the seam to the device that
 * computes a forward pass.
 *
 *     ops *o;
 *     ops_cpu_create(threads, &o, e);
 *     float *memory = o->alloc(o, floats);
 *     o->norm(o, x, 1, &norm_weight, eps, a);
 *     o->matmul(o, a, &w_qkv, false, qkv);
 *     if (o->status(o, e) != OK) ...
 *     o->release(o, memory);
 *     o->destroy(o);
 *
 * A model knows no device. Matrices lie in memory of the ops, which nobody else dereferences: `put`
 * and `get` copy. Weights, tables and indices are host memory and may be reused once the call has
 * returned. Operations return nothing: the first failure is kept, what follows does nothing, and
 * `status` tells it. One thread at a time uses an ops.
 *
 * Every row of every result depends on its own inputs only, so that batches may be cut and mixed as
 * memory allows. Every implementation gives the bits that the spec defines. */
#ifndef OPS_H
#define OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/tensor/dtype.h"
#include "format/base/err.h"

/* A matrix of activations, float32, row-major. */
typedef struct mat {
    float *data; /* memory of the ops */
    size_t rows, cols;
    size_t stride; /* floats from row to row, >= cols */
} mat;

static inline mat mat_rows(mat m, size_t first, size_t count)
{
    return (mat){m.data + first * m.stride, count, m.cols, m.stride};
}

static inline mat mat_cols(mat m, size_t first, size_t count)
{
    return (mat){m.data + first, m.rows, count, m.stride};
}

/* A weight as it is stored, in host memory: [rows, cols] row-major; a vector has one row. */
typedef struct weight {
    dtype type;          /* BF16, F16, F32; F8_E4M3 with scales */
    size_t rows, cols;   /* N, K */
    const void *data;    /* little-endian, aligned for its type */
    const float *scales; /* [ceil(rows / 128), ceil(cols / 128)]; NULL: not quantized */
    bool pow2;           /* scales are powers of two: FP8 activations get such scales, too */
} weight;

typedef struct attention_shape {
    unsigned heads, kv_heads, head_dim;
} attention_shape;

typedef struct router_shape {
    unsigned experts, top_k, groups, top_groups;
    bool normalize;
    float scaling;
} router_shape;

typedef struct ops ops;

struct ops {
    const char *name; /* "cpu" */

    /* Memory for `floats` floats, zeroed; NULL without memory. */
    float *(*alloc)(ops *o, size_t floats);
    void (*release)(ops *o, float *memory);         /* NULL is fine */
    void (*put)(ops *o, const float *host, mat to); /* host: [rows, cols] without gaps */
    void (*get)(ops *o, mat from, float *host);

    void (*zero)(ops *o, mat x);
    void (*add)(ops *o, mat x, mat y); /* x = x + y */

    /* y = x w^T: x [T, K], w [N, K], y [T, N]. `fp8`: FP8 activations, if w is quantized. */
    void (*matmul)(ops *o, mat x, const weight *w, bool fp8, mat y);

    /* RMS norm of `groups` equal parts of each row; w has a channel for each column, or for each
     * column of one part, which all parts share. y may be x. */
    void (*norm)(ops *o, mat x, unsigned groups, const weight *w, float eps, mat y);

    /* Rotate each of the `heads` parts of each row in place, by cos and sin [rows, half]. */
    void (*rope)(ops *o, mat x, unsigned heads, unsigned half, const float *cos, const float *sin);

    /* Rows are the tokens first … first + rows - 1 of one sequence: q, y [rows, heads * d], k, v
     * [rows, kv_heads * d]. Keys and values go to the cache, which holds those of the tokens before
     * `first`: ops memory of attention_cache_floats(shape, room) floats for `room` tokens. */
    void (*attention)(ops *o, attention_shape shape, mat q, mat k, mat v, size_t first,
                      float *cache, size_t room, mat y);

    /* The same for linear attention; state [heads, d, d] is read and left behind, all zero at the
     * start of a sequence. decay [heads], host. */
    void (*linear_attention)(ops *o, attention_shape shape, mat q, mat k, mat v, const float *decay,
                             float *state, mat y);

    /* y = norm(u) * sigmoid(g), the norm as above. y may be u. */
    void (*gate)(ops *o, mat u, unsigned groups, const weight *w, float eps, mat g, mat y);

    void (*silu)(ops *o, mat x);                       /* in place */
    void (*silu_mul)(ops *o, mat gate, mat up, mat y); /* y = silu(gate) * up; y may be either */

    /* Choose from router logits z [T, experts]. Host results [T, top_k]: `index` ascending within a
     * row, `share` the weight of each. bias [experts], NULL: none. */
    void (*route)(ops *o, mat z, const router_shape *shape, const float *bias, uint32_t *index,
                  float *share);

    void (*gather)(ops *o, mat x, const uint32_t *rows, mat y); /* y[i] = x[rows[i]] */
    /* x[rows[i]] = fma(share[i], y[i], x[rows[i]]); no row twice. */
    void (*scatter)(ops *o, mat y, const uint32_t *rows, const float *share, mat x);

    /* The first failure since the ops was made. */
    err_code (*status)(ops *o, err *e);
    void (*destroy)(ops *o);
};

/* Keys and values of `room` tokens. */
static inline size_t attention_cache_floats(attention_shape shape, size_t room)
{
    return 2 * (size_t)shape.kv_heads * shape.head_dim * room;
}

#endif
