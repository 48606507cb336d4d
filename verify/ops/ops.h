/* The operations that models consist of (spec/forward.md section 5): the interface to the device
 * that computes a forward pass.
 *
 *     ops *o;
 *     ops_cpu_create(threads, &o, e);
 *     float *memory = o->alloc(o, floats);
 *     o->load(o, &w_norm), o->load(o, &w_qkv);
 *     o->norm(o, x, 1, &w_norm, eps, a);
 *     o->matmul(o, a, &w_qkv, NULL, false, qkv);
 *     if (o->status(o, e) != OK) ...
 *     o->unload(o, &w_norm), o->unload(o, &w_qkv);
 *     o->release(o, memory);
 *     o->destroy(o);
 *
 * Models are independent of devices. Matrices are in memory of the ops, which only the ops
 * dereferences; `put` and `get` copy from and to the host. A weight is loaded once and may then be
 * used any number of times, so that a device uploads it once; its host memory must not change until
 * it is unloaded. Tables and indices are in host memory and may be reused when the call returns.
 * Operations return nothing: the ops keeps the first failure, later operations do nothing, and
 * `status` reports it. One thread at a time uses an ops.
 *
 * Every row of a result depends only on its own inputs, so that batches may be cut and mixed as
 * memory allows. Every implementation yields the bits that the specification defines. */
#ifndef OPS_H
#define OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/tensor/block.h"
#include "format/tensor/dtype.h"

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

/* A weight as stored, in host memory: [rows, cols] row-major; a vector has one row. Also the handle
 * of the loaded weight. */
typedef struct weight {
    dtype type;          /* BF16, F16, F32; F8_E4M3 with scales */
    size_t rows, cols;   /* N, K */
    const void *data;    /* little-endian, aligned for its type */
    const float *scales; /* one for each block, row-major; NULL: not quantized */
    block_format block;  /* of the scales, tiles; FP8 activations get the same scale format */
    void *loaded;        /* owned by the ops that loaded it; NULL: not loaded */
} weight;

/* Softmax and linear attention. */
typedef struct attention_shape {
    unsigned heads, kv_heads; /* heads: a multiple of kv_heads; linear: equal */
    unsigned qk_dim, v_dim;   /* channels of a head of q and k; of v and the result */
    float scale;              /* of scores; linear: of the result */
    unsigned window;          /* keys that a token sees, including its own; 0: all. Linear: 0 */
} attention_shape;

/* The float nearest to dim^-1/2, the scale of most models. */
float attention_scale(unsigned dim);

/* Which channels of a head rotate, and in which pairs. */
typedef struct rotation {
    unsigned offset;  /* the first channel that rotates */
    unsigned half;    /* pairs: 2 * half channels rotate, all others stay */
    bool interleaved; /* channels of a pair are adjacent; else `half` channels apart */
} rotation;

typedef struct router_shape {
    unsigned experts, top_k, groups, top_groups;
    bool normalize;
    float scaling;
} router_shape;

/* What a router gives for each of T tokens. All of it is on the host, in memory of the caller. */
typedef struct routes {
    const uint32_t *choice; /* [T, top_k], ascending: experts that are chosen already; NULL: none */
    uint32_t *index;        /* [T, top_k] the experts, ascending within a row */
    float *weights;         /* [T, top_k] their weights */
    float *scores; /* [T, experts] by which experts are chosen, with the bias; NULL: not wanted */
} routes;

typedef struct ops ops;

struct ops {
    const char *name; /* "cpu" */

    /* Memory for `floats` floats, zeroed; NULL: not enough memory. */
    float *(*alloc)(ops *o, size_t floats);
    void (*release)(ops *o, float *memory);         /* NULL is fine */
    void (*put)(ops *o, const float *host, mat to); /* host: [rows, cols], contiguous */
    void (*get)(ops *o, mat from, float *host);

    /* Operations need loaded weights. Unloading a weight that is not loaded is fine. */
    void (*load)(ops *o, weight *w);
    void (*unload)(ops *o, weight *w);

    void (*zero)(ops *o, mat x);
    void (*add)(ops *o, mat x, mat y); /* x = x + y */

    /* y = x w^T + bias: x [T, K], w [N, K], bias [N] (NULL: none), y [T, N]. `fp8`: quantize x to
     * FP8 if w is quantized. */
    void (*matmul)(ops *o, mat x, const weight *w, const weight *bias, bool fp8, mat y);

    /* RMS norm of `groups` equal parts of each row. w has a channel for each column, or for each
     * column of one part and is used for all parts. y may be x. */
    void (*norm)(ops *o, mat x, unsigned groups, const weight *w, float eps, mat y);

    /* Rotate each of the `heads` parts of each row in place, by cos and sin [rows, half]. */
    void (*rope)(ops *o, mat x, unsigned heads, rotation r, const float *cos, const float *sin);

    /* Rows are the tokens first … first + rows - 1 of one sequence: q [rows, heads * qk_dim], k
     * [rows, kv_heads * qk_dim], v [rows, kv_heads * v_dim], y [rows, heads * v_dim]. Keys and
     * values are appended to the cache, which holds those of all tokens before `first`: ops memory
     * of attention_cache_floats(shape, room) floats, with capacity for `room` tokens. */
    void (*attention)(ops *o, attention_shape shape, mat q, mat k, mat v, size_t first,
                      float *cache, size_t room, mat y);

    /* The same for linear attention. The state, attention_state_floats(shape) floats, is read and
     * updated; it is all zero at the start of a sequence. decay [heads], host. */
    void (*linear_attention)(ops *o, attention_shape shape, mat q, mat k, mat v, const float *decay,
                             float *state, mat y);

    /* y = norm(u) * sigmoid(g), the norm as above. y may be u. */
    void (*gate)(ops *o, mat u, unsigned groups, const weight *w, float eps, mat g, mat y);

    void (*silu)(ops *o, mat x);                       /* in place */
    void (*silu_mul)(ops *o, mat gate, mat up, mat y); /* y = silu(gate) * up; y may be either */

    /* Select experts by router logits z [T, experts]; bias [experts], host; NULL: none. Experts that
     * are chosen already get the weights that they have by these logits. */
    void (*route)(ops *o, mat z, const router_shape *shape, const float *bias, const routes *out);

    void (*gather)(ops *o, mat x, const uint32_t *rows, mat y); /* y[i] = x[rows[i]] */
    /* x[rows[i]] = fma(weights[i], y[i], x[rows[i]]); rows are distinct. */
    void (*scatter)(ops *o, mat y, const uint32_t *rows, const float *weights, mat x);

    /* The first failure since the ops was created. */
    err_code (*status)(ops *o, err *e);
    void (*destroy)(ops *o);
};

/* Floats of the keys and values of `room` tokens. */
static inline size_t attention_cache_floats(attention_shape shape, size_t room)
{
    return (size_t)shape.kv_heads * ((size_t)shape.qk_dim + shape.v_dim) * room;
}

/* Floats of the state of linear attention: [heads, qk_dim, v_dim]. */
static inline size_t attention_state_floats(attention_shape shape)
{
    return (size_t)shape.heads * shape.qk_dim * shape.v_dim;
}

#endif
