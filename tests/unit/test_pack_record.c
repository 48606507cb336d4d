/* Records as bytes: what is encoded decodes to the same, and a table that breaks one rule of
 * spec/format.md section 5 is refused, whichever it is. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/num.h"
#include "tests/unit/expect.h"
#include "tests/unit/random_table.h"

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

/* The three sections of a table and what the superblock says about it. */
typedef struct image {
    unsigned char *tens, *nidx, *strs;
    uint64_t tens_bytes, nidx_bytes, strs_bytes;
    pack_superblock superblock;
} image;

/* The table is placed but need not be sorted: hostile ones are not. */
static image image_of(pack_table *t)
{
    image m = {.tens_bytes = t->count * (uint64_t)128,
               .nidx_bytes = t->count * (uint64_t)4,
               .strs_bytes = pack_table_names_bytes(t)};
    err e = {0};
    expect_ok(pack_table_place(t, DATA_OFF, &e), &e);
    m.tens = malloc(m.tens_bytes + 1);
    m.nidx = malloc(m.nidx_bytes + 1);
    m.strs = malloc(m.strs_bytes + 1);
    ck_assert(m.tens && m.nidx && m.strs);
    pack_table_encode(t, m.tens, m.nidx, m.strs);
    m.superblock = (pack_superblock){.tensor_count = t->count,
                                     .chunk_count = t->chunk_count,
                                     .data_off = t->data_off,
                                     .data_end = t->data_end};
    return m;
}

static void image_free(image *m)
{
    free(m->tens);
    free(m->nidx);
    free(m->strs);
}

static err_code decode(const image *m, pack_table *out, err *e)
{
    return pack_table_decode(m->tens, m->tens_bytes, m->nidx, m->nidx_bytes, m->strs, m->strs_bytes,
                             &m->superblock, out, e);
}

static void expect_image_refused(const image *m, const char *what)
{
    pack_table t;
    err e = {0};
    const err_code code = decode(m, &t, &e);
    ck_assert_msg(code == ERR_INPUT && e.code == ERR_INPUT && e.text[0], "%s: %s %s", what,
                  err_name(code), e.text);
}

static void expect_image_legal(const image *m)
{
    pack_table t;
    err e = {0};
    expect_ok(decode(m, &t, &e), &e);
    pack_table_free(&t);
}

/* ---- round trip ---- */

static void expect_same_record(const pack_record *a, const pack_record *b)
{
    ck_assert_str_eq(a->name, b->name);
    ck_assert_int_eq(a->type, b->type);
    ck_assert_int_eq(a->src_type, b->src_type);
    ck_assert_uint_eq(a->ndim, b->ndim);
    ck_assert_mem_eq(a->shape, b->shape, sizeof a->shape);
    ck_assert_int_eq(a->cls, b->cls);
    ck_assert_int_eq(a->origin, b->origin);
    ck_assert_int_eq(a->dialect, b->dialect);
    ck_assert_int_eq(a->pow2, b->pow2);
    ck_assert_int_eq(a->stack, b->stack);
    ck_assert_uint_eq(a->block_rows, b->block_rows);
    ck_assert_uint_eq(a->block_cols, b->block_cols);
    ck_assert_uint_eq(a->scale_idx, b->scale_idx);
    ck_assert_int_eq(a->layer, b->layer);
    ck_assert_uint_eq(a->off, b->off);
    ck_assert_uint_eq(a->len, b->len);
    ck_assert_uint_eq(a->chunk_bytes, b->chunk_bytes);
    ck_assert_uint_eq(a->chunk_first, b->chunk_first);
    ck_assert_uint_eq(a->chunk_count, b->chunk_count);
    ck_assert_uint_eq(a->source_first, b->source_first);
    ck_assert_uint_eq(a->stat_first, b->stat_first);
}

START_TEST(random_table_survives)
{
    uint64_t state = random_seed(_i);
    pack_table t = table_random(&state, (uint32_t)table_up_to(&state, 40));
    image m = image_of(&t);
    pack_table back;
    err e = {0};
    expect_ok(decode(&m, &back, &e), &e);
    ck_assert_uint_eq(back.count, t.count);
    ck_assert_uint_eq(back.data_off, t.data_off);
    ck_assert_uint_eq(back.data_end, t.data_end);
    ck_assert_uint_eq(back.chunk_count, t.chunk_count);
    ck_assert_uint_eq(back.source_count, t.source_count);
    ck_assert_uint_eq(back.stat_count, t.stat_count);
    for (uint32_t i = 0; i < t.count; i++) {
        expect_same_record(&t.records[i], &back.records[i]);
        ck_assert_uint_eq(t.by_name[i], back.by_name[i]);
        ck_assert_ptr_eq(pack_table_find(&back, t.records[i].name), &back.records[i]);
    }
    image again = image_of(&back);
    ck_assert_mem_eq(m.tens, again.tens, m.tens_bytes);
    ck_assert_mem_eq(m.nidx, again.nidx, m.nidx_bytes);
    ck_assert_mem_eq(m.strs, again.strs, m.strs_bytes);
    image_free(&again);
    image_free(&m);
    pack_table_free(&back);
    pack_table_free(&t);
}
END_TEST

/* ---- the bytes ---- */

/* Kept, kept stack, codes in two and three dimensions and as a stack, carried ones, no elements, no
 * dimension. */
static pack_table legal_table(void)
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
    pack_record *const carried = table_add_codes(&t, "z", DTYPE_F8_E4M3, 2, (uint64_t[]){3, 3});
    carried[0].origin = carried[1].origin = ORIGIN_CARRIED;
    carried[0].dialect = carried[1].dialect = DIALECT_NONE;
    expect_ok(pack_table_sort(&t, &e), &e);
    return t;
}

static unsigned char *record_at(const image *m, const pack_table *t, const char *name)
{
    const pack_record *const r = pack_table_find(t, name);
    ck_assert_msg(r != NULL, "%s", name);
    return m->tens + 128 * (r - t->records);
}

START_TEST(fields_stand_where_the_table_says)
{
    pack_table t = legal_table();
    image m = image_of(&t);
    const pack_record *const r = pack_table_find(&t, "layers.1.experts.*.w1");
    const unsigned char *const p = record_at(&m, &t, "layers.1.experts.*.w1");
    const uint64_t name_off = le32_load(p + NAME_OFF);
    ck_assert_uint_eq(le16_load(p + NAME_LEN), 21);
    ck_assert_mem_eq(m.strs + name_off, "layers.1.experts.*.w1", 21);
    ck_assert_uint_eq(p[DTYPE], 1);
    ck_assert_uint_eq(p[NDIM], 3);
    const uint64_t shape[6] = {2, 5, 600, 0, 0, 0};
    for (int i = 0; i < 6; i++) {
        ck_assert_uint_eq(le64_load(p + SHAPE + 8 * i), shape[i]);
    }
    ck_assert_uint_eq(le64_load(p + OFF), r->off);
    ck_assert_uint_eq(le64_load(p + LEN), 6000);
    ck_assert_uint_eq(le64_load(p + CHUNK_BYTES), 128 * 600 * 27);
    ck_assert_uint_eq(le64_load(p + CHUNK_FIRST), r->chunk_first);
    ck_assert_uint_eq(le64_load(p + CHUNK_COUNT), 2);
    ck_assert_str_eq(t.records[le32_load(p + SCALE_IDX)].name, "layers.1.experts.*.w1_scale_inv");
    ck_assert_uint_eq(le32_load(p + LAYER), 1);
    ck_assert_uint_eq(le32_load(p + BLOCK_ROWS), 128);
    ck_assert_uint_eq(le32_load(p + BLOCK_COLS), 128);
    ck_assert_uint_eq(p[SRC_DTYPE], 4);
    ck_assert_uint_eq(p[ORIGIN], 1);
    ck_assert_uint_eq(p[DIALECT], 1);
    ck_assert_uint_eq(p[FLAGS], 0);
    ck_assert(pack_all_zero(p + RESERVED, 12));
    ck_assert_uint_eq(le32_load(record_at(&m, &t, "empty") + LAYER), UINT32_MAX);
    ck_assert_uint_eq(le32_load(record_at(&m, &t, "empty") + SCALE_IDX), UINT32_MAX);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* ---- one field of one record ---- */

typedef struct patch {
    const char *what, *record;
    unsigned at, bytes;
    uint64_t value;
} patch;

#define CODES  "layers.1.up_proj"
#define SCALES "layers.1.up_proj_scale_inv"
#define STACK  "layers.1.experts.*.w1"
#define KEPT   "model.norm.weight"

static const patch patches[] = {
    {"name elsewhere", KEPT, NAME_OFF, 4, 0},
    {"name far away", KEPT, NAME_OFF, 4, UINT32_MAX},
    {"no name", "empty", NAME_LEN, 2, 0},
    {"long name", "empty", NAME_LEN, 2, 255},
    {"longer name", "empty", NAME_LEN, 2, 6},
    {"very long name", "z_scale_inv", NAME_LEN, 2, 65535},
    {"dtype 0", KEPT, DTYPE, 1, 0},
    {"dtype 23", KEPT, DTYPE, 1, 23},
    {"source dtype 0", KEPT, SRC_DTYPE, 1, 0},
    {"source dtype 255", KEPT, SRC_DTYPE, 1, 255},
    {"kept as another dtype", KEPT, SRC_DTYPE, 1, DTYPE_BF16},
    {"half a byte left", KEPT, DTYPE, 1, DTYPE_F4},
    {"7 dimensions", KEPT, NDIM, 1, 7},
    {"255 dimensions", KEPT, NDIM, 1, 255},
    {"shape behind ndim", KEPT, SHAPE + 8, 8, 1},
    {"shape behind ndim", "layers.1.count", SHAPE + 40, 8, 1},
    {"ndim too small", CODES, NDIM, 1, 1},
    {"dimension 2^40", "empty", SHAPE + 8, 8, 1ull << 40},
    {"dimension 2^64 - 1", KEPT, SHAPE, 8, UINT64_MAX},
    {"another shape", KEPT, SHAPE, 8, 8},
    {"off", KEPT, OFF, 8, DATA_OFF + 256},
    {"off 0", KEPT, OFF, 8, 0},
    {"off of an empty one", "empty", OFF, 8, DATA_OFF + 4096},
    {"len", KEPT, LEN, 8, 27},
    {"len 0", CODES, LEN, 8, 0},
    {"chunk_bytes", KEPT, CHUNK_BYTES, 8, 1 << 20},
    {"chunk_bytes 0", KEPT, CHUNK_BYTES, 8, 0},
    {"chunk_bytes of codes", CODES, CHUNK_BYTES, 8, 2 << 20},
    {"chunk_first", CODES, CHUNK_FIRST, 8, 0},
    {"chunk_count", CODES, CHUNK_COUNT, 8, 2},
    {"chunk_count 0", CODES, CHUNK_COUNT, 8, 0},
    {"scales beyond the table", CODES, SCALE_IDX, 4, 14},
    {"scales far beyond the table", CODES, SCALE_IDX, 4, UINT32_MAX - 1},
    {"no scales", CODES, SCALE_IDX, 4, UINT32_MAX},
    {"a kept record with scales", KEPT, SCALE_IDX, 4, 0},
    {"scales with scales", SCALES, SCALE_IDX, 4, 0},
    {"layer", KEPT, LAYER, 4, 0},
    {"another layer", CODES, LAYER, 4, 2},
    {"no layer", CODES, LAYER, 4, UINT32_MAX},
    {"block_rows 0", CODES, BLOCK_ROWS, 4, 0},
    {"block_rows 64", CODES, BLOCK_ROWS, 4, 64},
    {"block_cols 0", CODES, BLOCK_COLS, 4, 0},
    {"block_cols 2^16 + 128", CODES, BLOCK_COLS, 4, 65536 + 128},
    {"blocks of a kept record", KEPT, BLOCK_ROWS, 4, 128},
    {"blocks of scales", SCALES, BLOCK_COLS, 4, 128},
    {"blocks of scales, high bits", SCALES, BLOCK_COLS, 4, 65536},
    {"origin 3", CODES, ORIGIN, 1, 3},
    {"origin kept of codes", CODES, ORIGIN, 1, 0},
    {"origin carried of codes made here", CODES, ORIGIN, 1, 2},
    {"origin made here of carried codes", "z", ORIGIN, 1, 1},
    {"origin of a kept record", KEPT, ORIGIN, 1, 1},
    {"origin of scales", SCALES, ORIGIN, 1, 0},
    {"dialect 2", CODES, DIALECT, 1, 2},
    {"no dialect", CODES, DIALECT, 1, 0},
    {"dialect of carried codes", "z", DIALECT, 1, 1},
    {"dialect of a kept record", KEPT, DIALECT, 1, 1},
    {"dialect of scales", SCALES, DIALECT, 1, 0},
    {"flag 2", SCALES, FLAGS, 1, 2},
    {"flag 128", SCALES, FLAGS, 1, 0x81},
    {"codes are no powers of two", CODES, FLAGS, 1, 1},
    {"kept ones are no powers of two", KEPT, FLAGS, 1, 1},
    {"reserved", KEPT, RESERVED, 1, 1},
    {"reserved, last byte", KEPT, 127, 1, 0x80},
    {"codes of another dtype", CODES, DTYPE, 1, DTYPE_F8_E5M2},
    {"codes from integers", CODES, SRC_DTYPE, 1, DTYPE_I16},
    {"codes from FP8 that were made here", CODES, SRC_DTYPE, 1, DTYPE_F8_E4M3},
    {"scales of another dtype", SCALES, DTYPE, 1, DTYPE_I32},
    {"scales from another dtype", SCALES, SRC_DTYPE, 1, DTYPE_BF16},
    {"scales of another shape", SCALES, SHAPE, 8, 2},
    {"scales of another shape", SCALES, SHAPE + 8, 8, 3},
    {"scales of fewer experts", STACK "_scale_inv", SHAPE, 8, 3},
    {"stack of one", "layers.1.experts.*.bias", SHAPE, 8, 1},
    {"stack of none", "layers.1.experts.*.bias", SHAPE, 8, 0},
    {"codes without elements", CODES, SHAPE + 8, 8, 0},
    {"codes without experts", "layers.1.experts.gate_up_proj", SHAPE, 8, 0},
};

START_TEST(illegal_field_is_refused)
{
    const patch *const p = &patches[_i];
    pack_table t = legal_table();
    image m = image_of(&t);
    expect_image_legal(&m);
    unsigned char *const at = record_at(&m, &t, p->record) + p->at;
    for (unsigned i = 0; i < p->bytes; i++) {
        at[i] = (unsigned char)(p->value >> (8 * i));
    }
    expect_image_refused(&m, p->what);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* The fields that may change without breaking a rule. */
static bool may_change(const pack_record *r, unsigned at, unsigned char value)
{
    const bool carried = r->cls == CLASS_CODES && r->origin == ORIGIN_CARRIED;
    if (r->len == 0 && at == NDIM) {
        return value >= r->ndim && value <= 6;
    }
    if (r->len == 0 && at >= SHAPE + 8 && at < SHAPE + 13) {
        return true; /* the other dimension of a tensor without elements */
    }
    if (at == SRC_DTYPE && r->origin == ORIGIN_QUANTIZED && r->cls == CLASS_CODES) {
        return value >= DTYPE_BF16 && value <= DTYPE_F32;
    }
    return (at == FLAGS && r->cls == CLASS_SCALES && value <= 1) || (at == SRC_DTYPE && carried);
}

/* Every byte of TENS with every bit flipped and with some other values. */
START_TEST(every_byte_counts)
{
    uint64_t state = random_seed(0);
    pack_table t = legal_table();
    image m = image_of(&t);
    const unsigned char *const before = memcpy(malloc(m.tens_bytes), m.tens, m.tens_bytes);
    for (uint64_t i = 0; i < m.tens_bytes; i++) {
        for (int k = 0; k < 12; k++) {
            const unsigned char other = (unsigned char)(oracle_random(&state) >> 40);
            m.tens[i] = k < 8 ? before[i] ^ (unsigned char)(1 << k) : other;
            if (m.tens[i] != before[i] && !may_change(&t.records[i / 128], i % 128, m.tens[i])) {
                char what[64];
                snprintf(what, sizeof what, "record %d byte %d: %02x to %02x", (int)(i / 128),
                         (int)(i % 128), before[i], m.tens[i]);
                expect_image_refused(&m, what);
            }
        }
        m.tens[i] = before[i];
    }
    expect_image_legal(&m);
    free((void *)before);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* In NIDX every other number is wrong. In STRS other letters may make another legal table, but
 * nothing else may happen. */
START_TEST(index_and_names_count)
{
    pack_table t = legal_table();
    image m = image_of(&t);
    for (uint64_t i = 0; i < m.nidx_bytes; i++) {
        for (int k = 0; k < 8; k++) {
            m.nidx[i] ^= (unsigned char)(1 << k);
            expect_image_refused(&m, "NIDX");
            m.nidx[i] ^= (unsigned char)(1 << k);
        }
    }
    for (uint64_t i = 0; i < m.strs_bytes; i++) {
        const unsigned char before = m.strs[i];
        for (unsigned value = 0; value < 256; value++) {
            pack_table back;
            err e = {0};
            m.strs[i] = (unsigned char)value;
            const err_code code = decode(&m, &back, &e);
            ck_assert(code == OK || code == ERR_INPUT);
            ck_assert(code == OK || value != before);
            ck_assert(code != OK || (value >= 0x20 && value < 0x7f));
            if (code == OK) {
                pack_table_free(&back);
            }
        }
        m.strs[i] = before;
    }
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

START_TEST(lengths_have_to_fit)
{
    pack_table t = legal_table();
    image m = image_of(&t);
    uint64_t *const lengths[] = {&m.tens_bytes, &m.nidx_bytes, &m.strs_bytes,
                                 &m.superblock.tensor_count, &m.superblock.chunk_count};
    for (int i = 0; i < COUNT(lengths); i++) {
        for (int step = -1; step <= (i == 2 ? 0 : 1); step++) {
            const uint64_t before = *lengths[i];
            *lengths[i] += (uint64_t)step;
            if (step != 0) {
                expect_image_refused(&m, "a length");
            }
            *lengths[i] = before;
        }
    }
    m.superblock.data_end += 4096;
    expect_image_refused(&m, "data_end");
    m.superblock.data_end -= 4096;
    m.superblock.data_off += 65536; /* everything moves with it */
    m.superblock.data_end += 65536;
    expect_image_refused(&m, "data_off");
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* ---- tables that are wrong as a whole, each field in itself being right ---- */

static void expect_table_refused(pack_table *t, const char *what)
{
    image m = image_of(t);
    expect_image_refused(&m, what);
    image_free(&m);
    pack_table_free(t);
}

static void index_in_order(pack_table *t, const uint32_t *order)
{
    for (uint32_t i = 0; i < t->count; i++) {
        t->by_name[i] = order ? order[i] : i;
    }
}

static const struct {
    const char *first, *second; /* U8 without dimensions, in this order */
    uint32_t by_name[2];
} orders[] = {
    {"b", "a", {1, 0}},
    {"a", "a", {0, 1}},
    {"aa", "a", {1, 0}},
    {"layers.1.a", "layers.0.a", {1, 0}},
    {"layers.10.a", "layers.2.a", {0, 1}},
    {"layers.0.a", "z", {0, 1}}, /* no layer comes first */
    {"a", "b", {1, 0}},
    {"a", "b", {0, 0}},
    {"a", "b", {1, 1}},
    {"\xc3\xa9", "z", {1, 0}}, /* by bytes, not by alphabet */
};

START_TEST(order_is_checked)
{
    pack_table t = table_with_room(2);
    table_add(&t, orders[_i].first, DTYPE_U8, 0, NULL);
    table_add(&t, orders[_i].second, DTYPE_U8, 0, NULL);
    index_in_order(&t, orders[_i].by_name);
    expect_table_refused(&t, orders[_i].first);
}
END_TEST

static const struct {
    const char *name;
    unsigned ndim;
    uint64_t shape[6];
    bool legal;
} names[] = {
    {"experts.*.w", 3, {2, 1, 1}, true},
    {"experts.*", 3, {2, 1, 1}, true},
    {"experts.*.w", 6, {2, 1, 1, 1, 1, 1}, true},
    {"a.experts.*.experts.3", 3, {2, 1, 1}, true},
    {"experts.*.w", 2, {2, 1}, false},
    {"experts.*.w", 3, {1, 1, 1}, false},
    {"experts.*.w", 0, {0}, false},
    {"experts.**.w", 3, {2, 1, 1}, false},
    {"experts.*a.w", 3, {2, 1, 1}, false},
    {"experts.a*.w", 3, {2, 1, 1}, false},
    {"*.experts.*.w", 3, {2, 1, 1}, false},
    {"experts.*.w*", 3, {2, 1, 1}, false},
    {"experts.*.*", 3, {2, 1, 1}, false},
    {"experts.3.*", 3, {2, 1, 1}, false},
    {"experts.0.experts.*", 3, {2, 1, 1}, false},
    {"xexperts.*.w", 3, {2, 1, 1}, false},
    {"*", 3, {2, 1, 1}, false},
    {"a*", 0, {0}, false},
    {"a\nb", 0, {0}, false},
    {"a\x7f", 0, {0}, false},
    {"\xff", 0, {0}, false},
    {"\xc0\xaf", 0, {0}, false},
};

START_TEST(name_is_checked)
{
    pack_table t = table_with_room(1);
    table_add(&t, names[_i].name, DTYPE_U8, names[_i].ndim, names[_i].shape);
    index_in_order(&t, NULL);
    image m = image_of(&t);
    if (names[_i].legal) {
        expect_image_legal(&m);
    } else {
        expect_image_refused(&m, names[_i].name);
    }
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* Two tensors of half a byte are one byte, but each of them is none. */
START_TEST(members_are_whole_bytes)
{
    pack_table t = table_with_room(1);
    table_add(&t, "experts.*.w", DTYPE_F4, 3, (uint64_t[]){2, 1, 1});
    index_in_order(&t, NULL);
    err e = {0};
    if (pack_table_place(&t, DATA_OFF, &e) == OK) {
        expect_table_refused(&t, "half a byte each");
    } else {
        pack_table_free(&t);
    }
}
END_TEST

START_TEST(stack_and_member_are_refused)
{
    pack_table t = table_with_room(2);
    table_add(&t, "experts.*.w", DTYPE_U8, 3, (uint64_t[]){3, 1, 1});
    table_add(&t, "experts.2.w", DTYPE_U8, 0, NULL);
    index_in_order(&t, NULL);
    expect_table_refused(&t, "a member beside its stack");
    t = table_with_room(2);
    table_add(&t, "experts.*.w", DTYPE_U8, 3, (uint64_t[]){3, 1, 1});
    table_add(&t, "experts.3.w", DTYPE_U8, 0, NULL);
    index_in_order(&t, NULL);
    image m = image_of(&t);
    expect_image_legal(&m);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* Scales under another name, of two records, and far away. */
START_TEST(scales_belong_to_one_record)
{
    pack_table t = table_with_room(4);
    table_add_codes(&t, "b", DTYPE_F32, 2, (uint64_t[]){1, 1});
    t.records[1].name = "c_scale_inv";
    t.by_name[1] = 1;
    expect_table_refused(&t, "scales of another name");

    t = table_with_room(4);
    table_add_codes(&t, "a", DTYPE_F32, 2, (uint64_t[]){1, 1});
    table_add_codes(&t, "b", DTYPE_F32, 2, (uint64_t[]){1, 1});
    err e = {0};
    expect_ok(pack_table_sort(&t, &e), &e);
    t.records[1].scale_idx = t.records[0].scale_idx;
    t.records[3].cls = CLASS_KEPT;
    expect_table_refused(&t, "scales of two");

    t = table_with_room(2);
    table_add_codes(&t, "a", DTYPE_F32, 2, (uint64_t[]){1, 1});
    t.records[0].scale_idx = 0;
    index_in_order(&t, NULL);
    expect_table_refused(&t, "its own scales");
}
END_TEST

START_TEST(longest_name_is_legal)
{
    char name[NAME_MAX_BYTES + 1];
    memset(name, 'n', NAME_MAX_BYTES);
    name[NAME_MAX_BYTES] = '\0';
    pack_table t = table_with_room(1);
    table_add(&t, name, DTYPE_U8, 0, NULL);
    index_in_order(&t, NULL);
    image m = image_of(&t);
    expect_image_legal(&m);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* ---- size ---- */

/* A hundred thousand tensors: 60 layers of experts, not stacked. */
static pack_table large_table(uint32_t records)
{
    pack_table t;
    err e = {0};
    expect_ok(pack_table_create(records, records * (uint64_t)64, &t, &e), &e);
    for (uint32_t i = 0; i < records; i++) {
        char *const name = t.names + i * (size_t)64;
        snprintf(name, 64, "model.layers.%u.mlp.experts.%u.up_proj.weight", i % 60, i / 60);
        t.records[i] = (pack_record){.name = name,
                                     .type = DTYPE_BF16,
                                     .src_type = DTYPE_BF16,
                                     .ndim = 2,
                                     .shape = {512, 2048},
                                     .scale_idx = PACK_NO_SCALE};
    }
    expect_ok(pack_table_sort(&t, &e), &e);
    return t;
}

START_TEST(large_table_is_quick)
{
    enum { RECORDS = 100000 };
    pack_table t = large_table(RECORDS);
    image m = image_of(&t);
    pack_table back;
    err e = {0};
    const clock_t start = clock();
    expect_ok(decode(&m, &back, &e), &e);
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    printf("%d records in %.1f ms\n", RECORDS, 1e3 * seconds);
    ck_assert_double_lt(seconds, 1); /* 0.01 is the aim, a sanitizer on a busy machine the limit */
    ck_assert_uint_eq(back.count, RECORDS);
    pack_table_free(&back);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_record");
    tcase_add_loop_test(tc, random_table_survives, 0, 60);
    tcase_add_test(tc, fields_stand_where_the_table_says);
    tcase_add_loop_test(tc, illegal_field_is_refused, 0, COUNT(patches));
    tcase_add_test(tc, every_byte_counts);
    tcase_add_test(tc, index_and_names_count);
    tcase_add_test(tc, lengths_have_to_fit);
    tcase_add_loop_test(tc, order_is_checked, 0, COUNT(orders));
    tcase_add_loop_test(tc, name_is_checked, 0, COUNT(names));
    tcase_add_test(tc, members_are_whole_bytes);
    tcase_add_test(tc, stack_and_member_are_refused);
    tcase_add_test(tc, scales_belong_to_one_record);
    tcase_add_test(tc, longest_name_is_legal);
    tcase_add_test(tc, large_table_is_quick);
    return run_tests("pack_record", tc);
}
