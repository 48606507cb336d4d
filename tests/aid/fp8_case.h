/* Checkpoints in FP8 for tests: a weight, its scales, and the numbers they represent, computed from
 * spec/quant.md sections 3 and 8 one element at a time. */
#ifndef FP8_CASE_H
#define FP8_CASE_H

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/aid/made_checkpoint.h"
#include "tests/aid/oracle_e4m3.h"
#include "tests/aid/scratch.h"

/* A weight in FP8, and how its source stores the scales. */
typedef struct fp8_case {
    const char *name;   /* of the weight */
    const char *suffix; /* of its scales */
    dtype scales;
    unsigned ndim;
    uint64_t shape[3];
    uint64_t rows, cols; /* of a tile */
    unsigned scale_ndim; /* 0: the shape that the tiles have; else 1 or 2 dimensions */
    uint64_t scale_shape[2];
} fp8_case;

static inline uint64_t fp8_down(const fp8_case *c)
{
    return (c->shape[c->ndim - 2] + c->rows - 1) / c->rows;
}

static inline uint64_t fp8_across(const fp8_case *c)
{
    return (c->shape[c->ndim - 1] + c->cols - 1) / c->cols;
}

/* A scale stored as `type`, as float32. */
static inline float fp8_scale_at(dtype type, const unsigned char *p)
{
    uint32_t bits = 0;
    float f = 0;
    switch (type) {
    case DTYPE_F8_E8M0:
        return (float)ldexp(1, (int)*p - 127);
    case DTYPE_F16:
        ck_assert((p[1] & 0x7c) != 0 && (p[1] & 0x7c) != 0x7c && p[1] < 0x80); /* normal */
        return (float)ldexp(1024 + (p[0] | (p[1] & 3) << 8), (p[1] >> 2) - 25);
    case DTYPE_BF16:
        bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
        break;
    default:
        bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Positive normal numbers of medium size. */
static inline void fp8_fill_scales(made_tensor *s, uint64_t *state)
{
    const size_t each = dtype_bits(s->type) / 8;
    for (uint64_t i = 0; i < s->elements; i++) {
        unsigned char *const p = s->data + i * each;
        for (size_t k = 0; k < each; k++) {
            p[k] = (unsigned char)(oracle_random(state) >> 56);
        }
        p[each - 1] = s->type == DTYPE_F8_E8M0 ? (unsigned char)(100 + p[0] % 40)
                      : s->type == DTYPE_F16   ? (unsigned char)(0x10 + p[1] % 0x20)
                                               : (unsigned char)(0x3a + p[each - 1] % 4);
    }
}

/* Codes without NaNs, and their scales. */
static inline void fp8_add(made_checkpoint *made, const fp8_case *c, uint64_t *state)
{
    char name[300];
    uint64_t shape[3] = {c->shape[0], c->shape[1], c->shape[2]};
    made_tensor *const w = made_add(made, c->name, DTYPE_F8_E4M3, c->ndim, c->shape, true);
    for (uint64_t i = 0; i < w->bytes; i++) {
        const unsigned char code = (unsigned char)(oracle_random(state) >> 56);
        w->data[i] = (code & 0x7f) == 0x7f ? 0x80 : code;
    }
    shape[c->ndim - 2] = fp8_down(c);
    shape[c->ndim - 1] = fp8_across(c);
    snprintf(name, sizeof name, "%s%s", c->name, c->suffix);
    const bool bare = c->scale_ndim > 0;
    fp8_fill_scales(made_add(made, name, c->scales, bare ? c->scale_ndim : c->ndim,
                             bare ? c->scale_shape : shape, false),
                    state);
}

/* The same weight in F32: code x scale, rounded once. */
static inline void fp8_add_wide(made_checkpoint *to, const made_checkpoint *made, const fp8_case *c)
{
    char name[300];
    snprintf(name, sizeof name, "%s%s", c->name, c->suffix);
    const made_tensor *const w = made_find(made, c->name);
    const made_tensor *const s = made_find(made, name);
    made_tensor *const wide = made_add(to, c->name, DTYPE_F32, c->ndim, c->shape, true);
    const uint64_t rows = c->shape[c->ndim - 2];
    const uint64_t cols = c->shape[c->ndim - 1];
    for (uint64_t i = 0; i < w->elements; i++) {
        const uint64_t tile =
            (i / (rows * cols) * fp8_down(c) + i / cols % rows / c->rows) * fp8_across(c) +
            i % cols / c->cols;
        const float scale = fp8_scale_at(s->type, s->data + tile * (dtype_bits(s->type) / 8));
        const float x = (float)((double)oracle_decode(w->data[i]) * (double)scale);
        uint32_t bits = 0;
        memcpy(&bits, &x, sizeof bits);
        made_set_bits(wide, i, bits);
    }
}

/* A config.json in scratch("in") that gives a tile size; without one if it is 0. */
static inline void fp8_write_config(uint64_t rows, uint64_t cols)
{
    char text[200];
    snprintf(text, sizeof text,
             rows
                 ? "{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[%llu,"
                   "%llu]}}"
                 : "{}",
             (unsigned long long)rows, (unsigned long long)cols);
    scratch_text("in/config.json", text);
}

#endif
