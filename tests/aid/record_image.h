/* The bytes of a table: sections TENS, NIDX and STRS, for tests that change them.
 *
 *     pack_table t = legal_table();
 *     image m = image_of(&t);
 *     record_at(&m, &t, "z")[ORIGIN] = 7;
 *     expect_image_refused(&m, "origin");
 *     image_free(&m);
 */
#ifndef RECORD_IMAGE_H
#define RECORD_IMAGE_H

#include <check.h>
#include <stdlib.h>

#include "format/pack/pack_record.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

enum { DATA_OFF = 65536 };

/* Offsets within a record, from the table of the specification. */
enum {
    NAME_OFF = 0,
    NAME_LEN = 4,
    DTYPE = 6,
    NDIM = 7,
    SHAPE = 8,
    OFF = 56,
    LEN = 64,
    CHUNK_BYTES = 72,
    CHUNK_FIRST = 80,
    CHUNK_COUNT = 88,
    SCALE_IDX = 96,
    LAYER = 100,
    BLOCK_ROWS = 104,
    BLOCK_COLS = 108,
    SRC_DTYPE = 112,
    ORIGIN = 113,
    DIALECT = 114,
    FLAGS = 115,
    RESERVED = 116
};

/* The three sections of a table and the superblock's fields about it. */
typedef struct image {
    unsigned char *tens, *nidx, *strs;
    uint64_t tens_bytes, nidx_bytes, strs_bytes;
    pack_superblock superblock;
} image;

/* The table is placed but need not be sorted: hostile ones are not. */
static inline image image_of(pack_table *t)
{
    image m = {.tens_bytes = t->count * (uint64_t)128,
               .nidx_bytes = t->count * (uint64_t)4,
               .strs_bytes = pack_table_names_bytes(t)};
    err e = {0};
    expect_ok(pack_table_place(t, DATA_OFF, &e), &e);
    m.tens = malloc(m.tens_bytes + 1);
    m.nidx = malloc(m.nidx_bytes + 1);
    m.strs = calloc(1, m.strs_bytes + 1);
    ck_assert(m.tens && m.nidx && m.strs);
    pack_table_encode(t, m.tens, m.nidx, m.strs);
    m.superblock = (pack_superblock){.tensor_count = t->count,
                                     .chunk_count = t->chunk_count,
                                     .data_off = t->data_off,
                                     .data_end = t->data_end};
    return m;
}

static inline void image_free(image *m)
{
    free(m->tens);
    free(m->nidx);
    free(m->strs);
}

static inline err_code decode(const image *m, pack_table *out, err *e)
{
    return pack_table_decode(m->tens, m->tens_bytes, m->nidx, m->nidx_bytes, m->strs, m->strs_bytes,
                             &m->superblock, out, e);
}

static inline void expect_image_refused(const image *m, const char *what)
{
    pack_table t;
    err e = {0};
    const err_code code = decode(m, &t, &e);
    ck_assert_msg(code == ERR_INPUT && e.code == ERR_INPUT && e.text[0], "%s: %s %s", what,
                  err_name(code), e.text);
}

static inline void expect_image_legal(const image *m)
{
    pack_table t;
    err e = {0};
    expect_ok(decode(m, &t, &e), &e);
    pack_table_free(&t);
}

/* Kept, kept stack, codes in two and three dimensions and as a stack, carried ones, no elements, no
 * dimension. */
static inline pack_table legal_table(void)
{
    pack_table t = table_with_room(16);
    err e = {0};
    table_add(&t, "model.norm.weight", DTYPE_F32, 1, (uint64_t[]){7});
    table_add(&t, "empty", DTYPE_U8, 2, (uint64_t[]){0, 9});
    table_add(&t, "layers.1.count", DTYPE_I64, 0, NULL);
    table_add(&t, "layers.1.experts.*.bias", DTYPE_BF16, 3, (uint64_t[]){3, 4, 5});
    table_add_codes(&t, "layers.1.up_proj", DTYPE_BF16, 2, (uint64_t[]){300, 200});
    table_add_codes(&t, "layers.1.experts.*.w1", DTYPE_F16, 3, (uint64_t[]){2, 5, 600});
    table_add_codes(&t, "layers.1.experts.gate_up_proj", DTYPE_F32, 3, (uint64_t[]){4, 129, 1});
    table_carry(table_add_codes(&t, "z", DTYPE_F8_E4M3, 2, (uint64_t[]){3, 3}), DTYPE_BF16);
    table_carry(table_add_codes(&t, "y", DTYPE_F8_E4M3, 2, (uint64_t[]){3, 3}), DTYPE_F8_E8M0);
    expect_ok(pack_table_sort(&t, &e), &e);
    return t;
}

static inline unsigned char *record_at(const image *m, const pack_table *t, const char *name)
{
    const pack_record *const r = pack_table_find(t, name);
    ck_assert_msg(r != NULL, "%s", name);
    return m->tens + 128 * (r - t->records);
}

#endif
