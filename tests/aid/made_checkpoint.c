#include "tests/aid/made_checkpoint.h"

#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/num.h"
#include "tests/aid/oracle_e4m3.h"

made_tensor *made_add(made_checkpoint *c, const char *name, dtype type, unsigned ndim,
                      const uint64_t *shape, bool quantize)
{
    c->tensors = realloc(c->tensors, (c->count + 1) * sizeof *c->tensors);
    ck_assert_ptr_nonnull(c->tensors);
    made_tensor *const t = &c->tensors[c->count++];
    *t = (made_tensor){.type = type, .ndim = ndim, .quantize = quantize};
    ck_assert_uint_lt(strlen(name), sizeof t->name);
    memcpy(t->name, name, strlen(name) + 1);
    if (ndim > 0) {
        memcpy(t->shape, shape, ndim * sizeof *shape);
    }
    ck_assert(dtype_tensor_bytes(type, t->shape, ndim, &t->elements, &t->bytes));
    t->data = calloc(1, t->bytes + 1);
    ck_assert_ptr_nonnull(t->data);
    return t;
}

void made_free(made_checkpoint *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->tensors[i].data);
    }
    free(c->tensors);
    *c = (made_checkpoint){0};
}

const made_tensor *made_find(const made_checkpoint *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->tensors[i].name, name) == 0) {
            return &c->tensors[i];
        }
    }
    return NULL;
}

/* ---- values ---------------------------------------------------- */

/* Bits of the exponent and the mantissa of BF16, F16 and F32. */
static void layout_of(dtype type, unsigned *exponent, unsigned *mantissa)
{
    *exponent = type == DTYPE_F16 ? 5 : 8;
    *mantissa = type == DTYPE_F16 ? 10 : type == DTYPE_BF16 ? 7 : 23;
}

static bool is_float(dtype type)
{
    return type == DTYPE_BF16 || type == DTYPE_F16 || type == DTYPE_F32;
}

void made_set_bits(made_tensor *t, uint64_t i, uint32_t bits)
{
    if (t->type == DTYPE_F32) {
        le32_store(t->data + 4 * i, bits);
    } else {
        le16_store(t->data + 2 * i, (uint16_t)bits);
    }
}

uint32_t made_nan(dtype type)
{
    return type == DTYPE_F32 ? 0xffc00001 : type == DTYPE_F16 ? 0x7e00 : 0x7f81;
}

static float f16_value(uint32_t bits)
{
    const int field = (int)(bits >> 10 & 31);
    const float fraction = (float)(bits & 0x3ff);
    const float magnitude =
        field == 31 ? INFINITY
                    : (field ? ldexpf(1024 + fraction, field - 25) : ldexpf(fraction, -24));
    return bits & 0x8000 ? -magnitude : magnitude;
}

float made_value(const made_tensor *t, uint64_t i)
{
    if (t->type == DTYPE_F32) {
        return oracle_float(le32_load(t->data + 4 * i));
    }
    const uint32_t bits = le16_load(t->data + 2 * i);
    return t->type == DTYPE_F16 ? f16_value(bits) : oracle_float(bits << 16);
}

/* A random float: exponent fields from `low` to `high`. */
static uint32_t random_bits(dtype type, uint64_t *state, uint32_t low, uint32_t high)
{
    unsigned exponent = 0;
    unsigned mantissa = 0;
    layout_of(type, &exponent, &mantissa);
    const uint64_t r = oracle_random(state);
    const uint32_t field = low + (uint32_t)(r >> 40) % (high - low + 1);
    const uint32_t fraction = (uint32_t)r & ((1u << mantissa) - 1);
    return (uint32_t)(r >> 63) << (exponent + mantissa) | field << mantissa | fraction;
}

void made_fill(made_tensor *t, uint64_t *state, made_style style)
{
    if (!is_float(t->type)) {
        for (uint64_t i = 0; i < t->bytes; i++) {
            t->data[i] = (unsigned char)(oracle_random(state) >> 50);
        }
        return;
    }
    const uint32_t largest = t->type == DTYPE_F16 ? 30 : 254;
    const uint32_t center = 8 + (uint32_t)(oracle_random(state) >> 33) % (largest - 8);
    for (uint64_t i = 0; i < t->elements && style != MADE_ZERO; i++) {
        const uint32_t low = style == MADE_WIDE ? 0 : center - 8;
        made_set_bits(t, i,
                      random_bits(t->type, state, low, style == MADE_WIDE ? largest : center));
        if (oracle_random(state) >> 58 == 0) {
            made_set_bits(t, i, i % 2 ? 0 : (t->type == DTYPE_F32 ? 1u << 31 : 1u << 15));
        }
    }
}

/* ---- a random checkpoint --------------------------------------- */

static uint64_t upto(uint64_t *state, uint64_t most)
{
    return (oracle_random(state) >> 20) % (most + 1);
}

static dtype random_source(uint64_t *state)
{
    static const dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    return types[upto(state, 2)];
}

/* The experts of one projection: a complete run, or with one that is missing or has another
 * shape. */
static void add_experts(made_checkpoint *c, uint64_t *state, unsigned layer, const char *what,
                        bool quantize)
{
    const uint64_t experts = 2 + upto(state, 10);
    const uint64_t odd = upto(state, 3) == 0 ? upto(state, experts - 1) : experts;
    const bool missing = upto(state, 1);
    const dtype type = quantize ? random_source(state) : DTYPE_I16;
    const uint64_t shape[] = {1 + upto(state, 150), 1 + upto(state, 200)};
    for (uint64_t i = 0; i < experts; i++) {
        char name[256];
        const uint64_t other[] = {shape[0] + 1, shape[1]};
        snprintf(name, sizeof name, "model.layers.%u.mlp.experts.%d.%s%s", layer, (int)i, what,
                 quantize ? ".weight" : "");
        if (i != odd || !missing) {
            made_fill(made_add(c, name, type, 2, i == odd ? other : shape, quantize), state,
                      (made_style)upto(state, MADE_STYLES - 1));
        }
    }
}

static void add_layer(made_checkpoint *c, uint64_t *state, unsigned layer)
{
    static const struct {
        const char *name;
        unsigned ndim;
        bool quantize, zero;
    } kinds[] = {
        {"self_attn.q_proj.weight", 2, true, false},  {"mlp.up_proj.weight", 2, true, false},
        {"mlp.experts.gate_up_proj", 3, true, false}, {"mlp.gate.weight", 2, false, false},
        {"input_layernorm.weight", 1, false, false},  {"self_attn.slope_rate", 3, false, false},
        {"self_attn.o_proj.weight", 2, false, true},  {"scalar", 0, false, false},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const unsigned ndim = kinds[i].ndim;
        const uint64_t shape[] = {ndim == 3 ? 1 + upto(state, 5) : 1 + upto(state, 299),
                                  kinds[i].zero ? 0 : 1 + upto(state, 299), 1 + upto(state, 299)};
        char name[256];
        snprintf(name, sizeof name, "model.layers.%u.%s", layer, kinds[i].name);
        if (upto(state, 3) > 0) {
            made_fill(made_add(c, name, random_source(state), ndim, shape, kinds[i].quantize),
                      state, (made_style)upto(state, MADE_STYLES - 1));
        }
    }
    if (upto(state, 1)) {
        add_experts(c, state, layer, "down_proj", true);
        add_experts(c, state, layer, "table", false);
    }
}

void made_random(made_checkpoint *c, uint64_t *state)
{
    static const dtype others[] = {DTYPE_F8_E4M3, DTYPE_I64, DTYPE_BOOL, DTYPE_F64, DTYPE_U8};
    const unsigned layers = 1 + (unsigned)upto(state, 3);
    made_fill(made_add(c, "model.embed_tokens.weight", DTYPE_BF16, 2,
                       (uint64_t[]){1 + upto(state, 500), 1 + upto(state, 299)}, false),
              state, MADE_NARROW);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char name[64];
        snprintf(name, sizeof name, "model.layers.0.v_proj.other.%s", dtype_name(others[i]));
        made_fill(made_add(c, name, others[i], 2, (uint64_t[]){upto(state, 9), 3}, false), state,
                  MADE_WIDE);
    }
    for (unsigned i = 0; i < layers; i++) {
        add_layer(c, state, i == 3 ? 10 : i); /* 10 sorts after 2 only as a number */
    }
    made_fill(made_add(c, "model.layers.0.mlp.w1.weight", DTYPE_BF16, 2,
                       (uint64_t[]){1 + upto(state, 299), 128}, true),
              state, MADE_WIDE);
}

/* ---- files ----------------------------------------------------- */

static void write_all(FILE *f, const void *data, uint64_t bytes)
{
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
}

static FILE *create(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path); /* some file systems flush a file that is truncated and rewritten */
    FILE *const f = fopen(path, "wb");
    ck_assert_msg(f != NULL, "cannot write %s", path);
    return f;
}

static void write_header(FILE *f, const made_checkpoint *c, size_t first, size_t end)
{
    char *text = NULL;
    size_t bytes = 0;
    uint64_t off = 0;
    FILE *const to = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(to);
    fputs("{\"__metadata__\":{\"format\":\"pt\"}", to);
    for (size_t i = first; i < end; i++) {
        const made_tensor *const t = &c->tensors[i];
        fprintf(to, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, dtype_name(t->type));
        for (unsigned k = 0; k < t->ndim; k++) {
            fprintf(to, "%s%" PRIu64, k ? "," : "", t->shape[k]);
        }
        const uint64_t behind = off + t->bytes;
        fprintf(to, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", off, behind);
        off = behind;
    }
    fputs("}", to);
    ck_assert_int_eq(fclose(to), 0);
    unsigned char length[8];
    le64_store(length, bytes);
    write_all(f, length, sizeof length);
    write_all(f, text, bytes);
    free(text);
}

static void write_shard(const made_checkpoint *c, const char *dir, const char *name, size_t first,
                        size_t end)
{
    FILE *const f = create(dir, name);
    write_header(f, c, first, end);
    for (size_t i = first; i < end; i++) {
        write_all(f, c->tensors[i].data, c->tensors[i].bytes);
    }
    ck_assert_int_eq(fclose(f), 0);
}

static void shard_name(size_t shard, size_t shards, char name[64])
{
    snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", shard + 1, shards);
}

void made_write(const made_checkpoint *c, const char *dir, size_t shards)
{
    FILE *const config = create(dir, "config.json");
    fputs("{\"model_type\":\"made\"}\n", config);
    ck_assert_int_eq(fclose(config), 0);
    if (shards <= 1) {
        write_shard(c, dir, "model.safetensors", 0, c->count);
        return;
    }
    FILE *const index = create(dir, "model.safetensors.index.json");
    fputs("{\"weight_map\":{", index);
    for (size_t s = 0; s < shards; s++) {
        char name[64];
        shard_name(s, shards, name);
        write_shard(c, dir, name, s * c->count / shards, (s + 1) * c->count / shards);
        for (size_t i = s * c->count / shards; i < (s + 1) * c->count / shards; i++) {
            fprintf(index, "%s\"%s\":\"%s\"", i ? "," : "", c->tensors[i].name, name);
        }
    }
    fputs("}}", index);
    ck_assert_int_eq(fclose(index), 0);
}
