/* One field of one record, or one byte, at a time: every value that breaks a rule is refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"
#include "tests/aid/record_image.h"

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
    {"carried scales of codes made here", SCALES, ORIGIN, 1, 2},
    {"dialect 7", CODES, DIALECT, 1, 7},
    {"a dialect that its scales do not have", CODES, DIALECT, 1, 2},
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
    {"codes from another FP8", CODES, SRC_DTYPE, 1, DTYPE_F8_E5M2},
    {"carried codes from another dtype", "z", SRC_DTYPE, 1, DTYPE_BF16},
    {"carried scales from another dtype", "z_scale_inv", SRC_DTYPE, 1, DTYPE_F16},
    {"carried scales in F64", "z_scale_inv", DTYPE, 1, DTYPE_F64},
    {"BF16 scales said to be powers of two", "z_scale_inv", FLAGS, 1, 1},
    {"E8M0 scales not said to be powers of two", "y_scale_inv", FLAGS, 1, 0},
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

/* Later checks would refuse these, too, but only after reading what is not there. */
static const struct {
    patch field;
    const char *message;
} early[] = {
    {{"", KEPT, DTYPE, 1, 0}, "unknown dtype"},
    {{"", KEPT, DTYPE, 1, 255}, "unknown dtype"},
    {{"", KEPT, SRC_DTYPE, 1, 0}, "unknown dtype"},
    {{"", KEPT, SRC_DTYPE, 1, 255}, "unknown dtype"},
    {{"", KEPT, NDIM, 1, 7}, "more than 6 dimensions"},
    {{"", KEPT, ORIGIN, 1, 1}, "kept, but other fields contradict that"},
    {{"", KEPT, RESERVED, 4, 1}, "reserved bytes are not zero"},
    {{"", KEPT, RESERVED + 4, 1, 1}, "reserved bytes are not zero"},
    {{"", CODES, SCALE_IDX, 4, 1 << 20}, "does not exist"},
    {{"", CODES, BLOCK_ROWS, 4, 65536 + 128}, "the largest are"},
    {{"", CODES, BLOCK_COLS, 4, 65536 + 128}, "the largest are"},
    {{"", CODES, BLOCK_COLS, 4, 0}, "has scales, but"},
    {{"", CODES, ORIGIN, 1, 0}, "is not a matrix of codes"},
    {{"", CODES, FLAGS, 1, 1}, "is not a matrix of codes"},
    {{"", CODES, DIALECT, 1, 0}, "is not a matrix of codes"},
    {{"", CODES, SRC_DTYPE, 1, DTYPE_I16}, "is not a matrix of codes"},
};

START_TEST(field_is_refused_early)
{
    const patch *const p = &early[_i].field;
    pack_table t = legal_table();
    image m = image_of(&t);
    unsigned char *const at = record_at(&m, &t, p->record) + p->at;
    for (unsigned i = 0; i < p->bytes; i++) {
        at[i] = (unsigned char)(p->value >> (8 * i));
    }
    pack_table back;
    err e = {0};
    expect_error(decode(&m, &back, &e), ERR_INPUT, &e, early[_i].message);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* The last name ends one byte after STRS. */
START_TEST(name_beyond_the_names_is_refused)
{
    pack_table t = legal_table();
    image m = image_of(&t);
    m.strs_bytes--;
    pack_table back;
    err e = {0};
    expect_error(decode(&m, &back, &e), ERR_INPUT, &e, "bad name or name offset");
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* Codes and their scales agree, but on what neither may be: no comparison of the two finds it. */
static const struct {
    const char *what;
    unsigned at;
    unsigned char value;
    const char *message; /* if then neither has a dialect */
} agreed[] = {
    {"an unknown origin", ORIGIN, 3, "unknown origin"},
    {"an unknown dialect", DIALECT, 255, "is not a matrix of codes"},
    {"the dialect after the last", DIALECT, DIALECT_COUNT, "is not a matrix of codes"},
    {"quantized without a dialect", DIALECT, DIALECT_NONE, "is not a matrix of codes"},
    {"carried with a dialect", ORIGIN, ORIGIN_CARRIED, "is not a matrix of codes"},
    {"kept", ORIGIN, ORIGIN_KEPT, "is not a matrix of codes"},
};

START_TEST(agreed_field_is_refused)
{
    pack_table t = legal_table();
    image m = image_of(&t);
    record_at(&m, &t, CODES)[agreed[_i].at] = agreed[_i].value;
    record_at(&m, &t, SCALES)[agreed[_i].at] = agreed[_i].value;
    expect_image_refused(&m, agreed[_i].what);
    record_at(&m, &t, CODES)[DIALECT] = record_at(&m, &t, SCALES)[DIALECT] = DIALECT_NONE;
    pack_table back;
    err e = {0};
    expect_error(decode(&m, &back, &e), ERR_INPUT, &e, agreed[_i].message);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* Fields that may change without breaking a rule. */
static bool may_change(const pack_record *r, unsigned at, unsigned char value)
{
    if (r->len == 0 && at == NDIM) {
        return value >= r->ndim && value <= 6;
    }
    if (r->len == 0 && at >= SHAPE + 8 && at < SHAPE + 13) {
        return true; /* the other dimension of a tensor without elements */
    }
    if (at == SRC_DTYPE && r->origin == ORIGIN_QUANTIZED && r->cls == CLASS_CODES) {
        return value == DTYPE_F8_E4M3 || (value >= DTYPE_BF16 && value <= DTYPE_F32);
    }
    return at == FLAGS && pack_record_computed(r) && value <= 1;
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
            const unsigned other = (unsigned)(oracle_random(&state) >> 40);
            m.tens[i] = (unsigned char)(k < 8 ? before[i] ^ 1u << k : other);
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
            m.nidx[i] = (unsigned char)(m.nidx[i] ^ 1u << k);
            expect_image_refused(&m, "NIDX");
            m.nidx[i] = (unsigned char)(m.nidx[i] ^ 1u << k);
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
        for (int step = -1; step <= 1; step++) {
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
    m.superblock.data_off += 65536; /* all offsets change with it */
    m.superblock.data_end += 65536;
    expect_image_refused(&m, "data_off");
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_record_fields");
    tcase_add_loop_test(tc, illegal_field_is_refused, 0, COUNT(patches));
    tcase_add_loop_test(tc, field_is_refused_early, 0, COUNT(early));
    tcase_add_test(tc, name_beyond_the_names_is_refused);
    tcase_add_loop_test(tc, agreed_field_is_refused, 0, COUNT(agreed));
    tcase_add_test(tc, every_byte_counts);
    tcase_add_test(tc, index_and_names_count);
    tcase_add_test(tc, lengths_have_to_fit);
    return run_tests("pack_record_fields", tc);
}
