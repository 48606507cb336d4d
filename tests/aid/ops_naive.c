#include "tests/aid/ops_naive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/naive_parts.h"

/* ---- memory ---------------------------------------------------- */

static float *naive_alloc(ops *o, size_t floats)
{
    (void)o;
    return calloc(floats + 1, sizeof(float));
}

static void naive_release(ops *o, float *memory)
{
    (void)o;
    free(memory);
}

static void naive_put(ops *o, const float *host, mat to)
{
    (void)o;
    for (size_t t = 0; t < to.rows; t++) {
        for (size_t c = 0; c < to.cols; c++) {
            *at(to, t, c) = host[t * to.cols + c];
        }
    }
}

static void naive_get(ops *o, mat from, float *host)
{
    (void)o;
    for (size_t t = 0; t < from.rows; t++) {
        for (size_t c = 0; c < from.cols; c++) {
            host[t * from.cols + c] = *at(from, t, c);
        }
    }
}

/* Another weight, whose data are behind it in the same block. */
static void naive_load(ops *o, weight *w)
{
    const size_t bytes = w->rows * w->cols * dtype_bits(w->type) / 8;
    const size_t scales =
        w->scales ? (w->rows + 127) / 128 * ((w->cols + 127) / 128) * sizeof(float) : 0;
    assert(!w->loaded);
    weight *const copy = calloc(1, sizeof *copy + scales + bytes);
    if (copy == NULL) {
        err_set(&naive_of(o)->failure, ERR_MEMORY, "no memory for a weight");
        return;
    }
    unsigned char *const at_scales = (unsigned char *)(copy + 1);
    *copy = *w;
    copy->data = memcpy(at_scales + scales, w->data, bytes);
    if (w->scales) {
        copy->scales = memcpy(at_scales, w->scales, scales);
    }
    w->loaded = copy;
    naive_of(o)->loaded++;
}

static void naive_unload(ops *o, weight *w)
{
    naive_of(o)->loaded -= w->loaded != NULL;
    free(w->loaded);
    w->loaded = NULL;
}

static const weight *copy_of(const weight *w)
{
    assert(w->loaded);
    return w->loaded;
}

static void naive_zero(ops *o, mat x)
{
    (void)o;
    for (size_t t = 0; t < x.rows; t++) {
        for (size_t c = 0; c < x.cols; c++) {
            *at(x, t, c) = 0;
        }
    }
}

static void naive_add(ops *o, mat x, mat y)
{
    (void)o;
    for (size_t t = 0; t < x.rows; t++) {
        for (size_t c = 0; c < x.cols; c++) {
            *at(x, t, c) = *at(x, t, c) + *at(y, t, c);
        }
    }
}

/* ---- section 5: matrices --------------------------------------- */

static void matmul_exact(const naive *o, mat x, const weight *w, mat y)
{
    for (size_t t = 0; t < x.rows; t++) {
        for (size_t n = 0; n < w->rows; n++) {
            float acc = 0;
            for (size_t k = 0; k < w->cols; k++) {
                acc = fmaf(naive_weight_value(o, w, n, k), *at(x, t, k), acc);
            }
            *at(y, t, n) = acc;
        }
    }
}

/* One group of one row: its scale; its values in code units to `value`. */
static float quantize_group(const naive *o, mat x, size_t t, size_t first, size_t count,
                            scale_format format, float *value)
{
    float amax = 0;
    for (size_t k = 0; k < count; k++) {
        amax = fmaxf(amax, fabsf(*at(x, t, first + k)));
    }
    const float scale = naive_tile_scale(amax, format == SCALES_UE8M0);
    for (size_t k = 0; k < count; k++) {
        value[k] = naive_e4m3_value(o, naive_e4m3_nearest(o, *at(x, t, first + k) / scale));
    }
    return scale;
}

static void matmul_fp8(const naive *o, mat x, const weight *w, mat y)
{
    for (size_t t = 0; t < x.rows; t++) {
        for (size_t n = 0; n < w->rows; n++) {
            *at(y, t, n) = 0;
        }
        for (size_t first = 0; first < w->cols; first += NAIVE_GROUP) {
            const size_t count = w->cols - first < NAIVE_GROUP ? w->cols - first : NAIVE_GROUP;
            float value[NAIVE_GROUP];
            const float sa = quantize_group(o, x, t, first, count, w->block.scale, value);
            for (size_t n = 0; n < w->rows; n++) {
                float p = 0;
                for (size_t k = 0; k < count; k++) {
                    p = fmaf(naive_e4m3_value(o, naive_weight_code(w, n, first + k)), value[k], p);
                }
                const float scale = sa * naive_weight_scale(w, n, first);
                *at(y, t, n) = fmaf(p, scale, *at(y, t, n));
            }
        }
    }
}

static void naive_matmul(ops *o, mat x, const weight *handle, const weight *bias, bool fp8, mat y)
{
    const weight *const w = copy_of(handle);
    assert(x.cols == w->cols && y.cols == w->rows && y.rows == x.rows);
    if (fp8 && w->scales) {
        matmul_fp8(naive_of(o), x, w, y);
    } else {
        matmul_exact(naive_of(o), x, w, y);
    }
    for (size_t t = 0; t < y.rows && bias; t++) {
        for (size_t n = 0; n < y.cols; n++) {
            *at(y, t, n) = *at(y, t, n) + naive_weight_value(naive_of(o), copy_of(bias), 0, n);
        }
    }
}

/* ---- section 5: rows ------------------------------------------- */

static void naive_norm(ops *o, mat x, unsigned groups, const weight *handle, float eps, mat y)
{
    const weight *const w = copy_of(handle);
    const size_t n = x.cols / groups;
    assert(n * groups == x.cols && (w->cols == x.cols || w->cols == n));
    for (size_t t = 0; t < x.rows; t++) {
        for (size_t g = 0; g < groups; g++) {
            const float r = sqrtf(naive_sumsq32(at(x, t, g * n), n) / (float)n + eps);
            for (size_t i = g * n; i < g * n + n; i++) {
                *at(y, t, i) =
                    *at(x, t, i) / r * naive_weight_value(naive_of(o), w, 0, i % w->cols);
            }
        }
    }
}

static void naive_rope(ops *o, mat x, unsigned heads, rotation r, const float *cos,
                       const float *sin)
{
    (void)o;
    const size_t half = r.half;
    const size_t d = x.cols / heads;
    for (size_t t = 0; t < x.rows; t++) {
        for (size_t h = 0; h < heads; h++) {
            for (size_t j = 0; j < half; j++) {
                const float c = cos[t * half + j];
                const float s = sin[t * half + j];
                const size_t first = h * d + r.offset + (r.interleaved ? 2 * j : j);
                const size_t second = r.interleaved ? first + 1 : first + half;
                const float a = *at(x, t, first);
                const float b = *at(x, t, second);
                *at(x, t, first) = a * c - b * s;
                *at(x, t, second) = b * c + a * s;
            }
        }
    }
}

static void naive_gate(ops *o, mat u, unsigned groups, const weight *w, float eps, mat g, mat y)
{
    naive_norm(o, u, groups, w, eps, y);
    for (size_t t = 0; t < y.rows; t++) {
        for (size_t c = 0; c < y.cols; c++) {
            *at(y, t, c) = *at(y, t, c) * naive_sigmoid(*at(g, t, c));
        }
    }
}

static void naive_silu_rows(ops *o, mat x)
{
    (void)o;
    for (size_t t = 0; t < x.rows; t++) {
        for (size_t c = 0; c < x.cols; c++) {
            *at(x, t, c) = naive_silu(*at(x, t, c));
        }
    }
}

static void naive_silu_mul(ops *o, mat gate, mat up, mat y)
{
    (void)o;
    for (size_t t = 0; t < y.rows; t++) {
        for (size_t c = 0; c < y.cols; c++) {
            *at(y, t, c) = naive_silu(*at(gate, t, c)) * *at(up, t, c);
        }
    }
}

static void naive_gather(ops *o, mat x, const uint32_t *rows, mat y)
{
    (void)o;
    for (size_t i = 0; i < y.rows; i++) {
        for (size_t c = 0; c < y.cols; c++) {
            *at(y, i, c) = *at(x, rows[i], c);
        }
    }
}

static void naive_scatter(ops *o, mat y, const uint32_t *rows, const float *weights, mat x)
{
    (void)o;
    for (size_t i = 0; i < y.rows; i++) {
        for (size_t c = 0; c < y.cols; c++) {
            *at(x, rows[i], c) = fmaf(weights[i], *at(y, i, c), *at(x, rows[i], c));
        }
    }
}

static err_code naive_status(ops *o, err *e)
{
    const err *const failure = &naive_of(o)->failure;
    return failure->code == OK ? OK : err_set(e, failure->code, "%s", failure->text);
}

static void naive_destroy(ops *o)
{
    if (naive_of(o)->loaded != 0) {
        abort();
    }
    free(naive_of(o));
}

ops *ops_naive_create(void)
{
    naive *const o = calloc(1, sizeof *o);
    if (o == NULL) {
        return NULL;
    }
    naive_e4m3_table(o);
    o->base = (ops){.name = "naive",
                    .alloc = naive_alloc,
                    .release = naive_release,
                    .put = naive_put,
                    .get = naive_get,
                    .load = naive_load,
                    .unload = naive_unload,
                    .zero = naive_zero,
                    .add = naive_add,
                    .matmul = naive_matmul,
                    .norm = naive_norm,
                    .rope = naive_rope,
                    .attention = naive_attention,
                    .linear_attention = naive_linear_attention,
                    .gate = naive_gate,
                    .silu = naive_silu_rows,
                    .silu_mul = naive_silu_mul,
                    .route = naive_route,
                    .gather = naive_gather,
                    .scatter = naive_scatter,
                    .status = naive_status,
                    .destroy = naive_destroy};
    return &o->base;
}
