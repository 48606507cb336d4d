/* Tables of packed files for tests: records added by hand, or at random within the rules.
 *
 *     pack_table t = table_with_room(8);
 *     pack_record *r = table_add(&t, "model.layers.0.norm.weight", DTYPE_BF16, 1,
 *                                (uint64_t[]){64});
 *     table_add_codes(&t, "model.layers.0.up_proj.weight", DTYPE_F32, 2,
 *                     (uint64_t[]){300, 200});
 *     expect_ok(pack_table_sort(&t, &e), &e);
 *     pack_table_free(&t);
 *
 * Pointers to records are valid until the next sort. */
#ifndef RANDOM_TABLE_H
#define RANDOM_TABLE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/tensor/tensor_name.h"
#include "format/pack/pack_table.h"
#include "tests/aid/oracle_e4m3.h"

static inline pack_table table_with_room(uint32_t records)
{
    pack_table t;
    ck_assert_int_eq(pack_table_create(records, (uint64_t)records * (NAME_MAX_BYTES + 1), &t, NULL),
                     OK);
    t.count = 0;
    return t;
}

static inline pack_record *table_add(pack_table *t, const char *name, dtype type, unsigned ndim,
                                     const uint64_t *shape)
{
    char *to = t->names;
    for (uint32_t i = 0; i < t->count; i++) { /* names are stored one after another, unsorted */
        char *const end = t->names + (t->records[i].name - t->names) + strlen(t->records[i].name);
        to = end + 1 > to ? end + 1 : to;
    }
    memcpy(to, name, strlen(name) + 1);
    pack_record *const r = &t->records[t->count++];
    *r = (pack_record){.name = to,
                       .type = type,
                       .src_type = type,
                       .ndim = (uint8_t)ndim,
                       .scale_idx = PACK_NO_SCALE,
                       .stack = strchr(name, '*') != NULL,
                       .layer = (int32_t)name_layer(name)};
    if (ndim > 0) {
        memcpy(r->shape, shape, ndim * sizeof *shape);
    }
    return r;
}

/* The codes of a quantized tensor, and after them its scales. */
static inline pack_record *table_add_codes(pack_table *t, const char *name, dtype source,
                                           unsigned ndim, const uint64_t *shape)
{
    char scales[2 * NAME_MAX_BYTES];
    snprintf(scales, sizeof scales, "%s_scale_inv", name);
    pack_record *const w = table_add(t, name, DTYPE_F8_E4M3, ndim, shape);
    w->src_type = source;
    w->cls = CLASS_CODES;
    w->origin = ORIGIN_QUANTIZED;
    w->dialect = DIALECT_IEEE;
    w->scale_idx = t->count;
    pack_record *const s = table_add(t, scales, DTYPE_F32, ndim, shape);
    s->shape[ndim - 2] = (shape[ndim - 2] + 127) / 128;
    s->shape[ndim - 1] = (shape[ndim - 1] + 127) / 128;
    s->cls = CLASS_SCALES;
    s->origin = ORIGIN_QUANTIZED;
    s->dialect = DIALECT_IEEE;
    w->block = s->block = block_fp8(SCALES_F32);
    return w;
}

/* Turn such codes and their scales into carried ones with scales of dtype `scales`. */
static inline void table_carry(pack_record *w, dtype scales)
{
    w[0].origin = w[1].origin = ORIGIN_CARRIED;
    w[0].dialect = w[1].dialect = DIALECT_NONE;
    w[0].src_type = DTYPE_F8_E4M3;
    w[1].type = w[1].src_type = scales;
    w[0].block = w[1].block = block_fp8(scale_format_of(scales));
}

/* ---- at random ------------------------------------------------- */

static inline uint64_t table_up_to(uint64_t *state, uint64_t most)
{
    return oracle_random(state) % (most + 1);
}

/* With or without a layer, or with parts that look like one; `number` makes the name unique. */
static inline void table_random_name(uint64_t *state, bool stack, unsigned number, char *name)
{
    static const char *const roots[] = {"",          "model.",   "layers.", "h.x.",
                                        "\xc3\xa9.", "blocks..", "0."};
    static const char *const layers[] = {
        "",          "layers.0.",     "layers.1.",  "h.7.",          "layers.10.",   "layers.01.",
        "blocks.1.", "layers.9.h.2.", "layers.-1.", "h.2147483647.", "h.2147483648."};
    static const char *const rooms[] = {"", "mlp.", "experts.4.", "experts.", "shared_experts.1."};
    const size_t root = table_up_to(state, sizeof roots / sizeof *roots - 1);
    const size_t layer = table_up_to(state, sizeof layers / sizeof *layers - 1);
    const size_t room = table_up_to(state, sizeof rooms / sizeof *rooms - 1);
    snprintf(name, NAME_MAX_BYTES, "%s%s%st%u.weight", roots[root], layers[layer],
             stack ? "experts.*." : rooms[room], number);
}

static inline void table_add_random_codes(pack_table *t, uint64_t *state, unsigned number)
{
    static const dtype sources[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32, DTYPE_F8_E4M3};
    static const dtype scales[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32, DTYPE_F8_E8M0};
    const unsigned kind = (unsigned)table_up_to(state, 3); /* stack, three dimensions, else two */
    const uint64_t wide = table_up_to(state, 9) == 0 ? 40000 : 700;
    const uint64_t shape[] = {kind == 0 ? 2 + table_up_to(state, 20) : 1 + table_up_to(state, 20),
                              1 + table_up_to(state, table_up_to(state, 9) == 0 ? 9000 : 500),
                              1 + table_up_to(state, wide)};
    char name[NAME_MAX_BYTES + 1];
    table_random_name(state, kind == 0, number, name);
    pack_record *const w = table_add_codes(t, name, sources[table_up_to(state, 3)],
                                           kind < 2 ? 3 : 2, kind < 2 ? shape : shape + 1);
    w[0].block = w[1].block = block_fp8((scale_format)table_up_to(state, 1));
    if (table_up_to(state, 4) == 0) {
        table_carry(w, scales[table_up_to(state, 3)]);
    }
}

static inline void table_add_random_kept(pack_table *t, uint64_t *state, unsigned number)
{
    const bool stack = table_up_to(state, 4) == 0;
    const unsigned least = stack ? 3 : 0;
    const unsigned ndim = least + (unsigned)table_up_to(state, TENSOR_MAX_DIMS - least);
    const dtype type = (dtype)(1 + table_up_to(state, DTYPE_COUNT - 2));
    static const uint64_t bounds[] = {3, 12, 60};
    const uint64_t bound = bounds[table_up_to(state, 2)];
    uint64_t shape[TENSOR_MAX_DIMS] = {0};
    for (unsigned i = 0; i < ndim; i++) {
        shape[i] = 1 + table_up_to(state, ndim > 4 ? bound / 3 : bound);
    }
    if (ndim > 1 && table_up_to(state, 6) == 0) {
        shape[table_up_to(state, ndim - 1)] = 0;
    }
    if (stack) {
        shape[0] = 2 + table_up_to(state, 30);
    }
    if (ndim > 0) {
        shape[ndim - 1] *= 8; /* whole bytes of any type; often 64 KiB and more */
    }
    char name[NAME_MAX_BYTES + 1];
    table_random_name(state, stack, number, name);
    table_add(t, name, ndim == 0 && dtype_bits(type) < 8 ? DTYPE_BOOL : type, ndim, shape);
}

/* A sorted table of at most 2 x `tensors` records. */
static inline pack_table table_random(uint64_t *state, uint32_t tensors)
{
    pack_table t = table_with_room(2 * tensors);
    for (uint32_t i = 0; i < tensors; i++) {
        if (table_up_to(state, 1)) {
            table_add_random_codes(&t, state, i);
        } else {
            table_add_random_kept(&t, state, i);
        }
    }
    err e = {0};
    ck_assert_msg(pack_table_sort(&t, &e) == OK, "%s", e.text);
    return t;
}

/* Many small tensors: 60 layers of experts that form no stacks. */
static inline pack_table table_large(uint32_t records)
{
    pack_table t;
    err e = {0};
    ck_assert_int_eq(pack_table_create(records, records * (uint64_t)64, &t, &e), OK);
    for (uint32_t i = 0; i < records; i++) {
        char *const name = t.names + i * (size_t)64;
        snprintf(name, 64, "model.layers.%u.mlp.experts.%u.up_proj.weight", i % 60, i / 60);
        t.records[i] = (pack_record){.name = name,
                                     .type = DTYPE_U8,
                                     .src_type = DTYPE_U8,
                                     .ndim = 2,
                                     .shape = {1 + i % 3, 5},
                                     .scale_idx = PACK_NO_SCALE};
    }
    ck_assert_msg(pack_table_sort(&t, &e) == OK, "%s", e.text);
    return t;
}

#endif
