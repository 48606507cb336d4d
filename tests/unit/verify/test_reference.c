/* Dumped activations: the values of every dtype, shapes that do not match, and the golden file of
 * the built-in example. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/safetensors/safetensors_write.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "verify/forward/reference.h"

/* ---- a file of its own ----------------------------------------- */

enum { WIDE = 40000 };

static const st_tensor made[] = {
    {.name = "input_ids", .type = DTYPE_I64, .ndim = 2, .shape = {2, 3}},
    {.name = "negative", .type = DTYPE_I64, .ndim = 1, .shape = {2}},
    {.name = "negative32", .type = DTYPE_I32, .ndim = 1, .shape = {2}},
    {.name = "ids32", .type = DTYPE_I32, .ndim = 2, .shape = {3, 2}},
    {.name = "f32", .type = DTYPE_F32, .ndim = 3, .shape = {2, 3, 4}},
    {.name = "bf16", .type = DTYPE_BF16, .ndim = 2, .shape = {3, 2}},
    {.name = "f16", .type = DTYPE_F16, .ndim = 2, .shape = {3, 2}},
    {.name = "scalar", .type = DTYPE_F32, .ndim = 0},
    {.name = "none", .type = DTYPE_F32, .ndim = 3, .shape = {4, 0, 4}},
    {.name = "wide", .type = DTYPE_BF16, .ndim = 2, .shape = {2, WIDE}},
};

static const uint64_t ids[6] = {7, 0, UINT32_MAX, 1, 2, 3};

static void put(st_writer *w, size_t tensor, unsigned size, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char raw[8];
        le64_store(raw, numbers[i]);
        expect_ok(st_writer_write(w, tensor, i * size, raw, size, NULL), NULL);
    }
}

static reference *open_file(const char *path)
{
    reference *r = NULL;
    err e = {0};
    expect_ok(reference_open(path, &r, &e), &e);
    return r;
}

static reference *make(void)
{
    st_writer *w = NULL;
    err e = {0};
    expect_ok(st_writer_open(scratch("r"), false, made, COUNT(made), NULL, NULL, &w, &e), &e);
    put(w, 0, 8, ids, 6);
    put(w, 1, 8, (uint64_t[]){UINT64_MAX, 1ULL << 32}, 2);
    put(w, 2, 4, (uint64_t[]){3, 0x80000000}, 2);
    put(w, 3, 4, (uint64_t[]){5, INT32_MAX, 0, 1, 2, 3}, 6);
    for (uint64_t i = 0; i < 24; i++) { /* floats 1, 1 + 1 ulp, ... */
        unsigned char raw[4];
        le32_store(raw, 0x3f800000 + (uint32_t)i);
        expect_ok(st_writer_write(w, 4, 4 * i, raw, 4, &e), &e);
    }
    put(w, 5, 2, (uint64_t[]){0x3f80, 0xc000, 0x0001, 0x7f7f, 0x8000, 0x3fc0}, 6);
    put(w, 6, 2, (uint64_t[]){0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000, 0x3e00}, 6);
    put(w, 7, 4, (uint64_t[]){0x40490fdb}, 1);
    static unsigned char wide[2 * 2 * WIDE];
    for (uint32_t i = 0; i < 2 * WIDE; i++) { /* any positive pattern below infinity */
        le16_store(wide + 2 * i, (uint16_t)(i % 0x7f80));
    }
    expect_ok(st_writer_write(w, 9, 0, wide, sizeof wide, &e), &e);
    expect_ok(st_writer_commit(&w, &e), &e);
    return open_file(scratch("r"));
}

START_TEST(every_dtype)
{
    static const float halves[6] = {1, -2, 0, 0, -0.0F, 1.5F};
    reference *const r = make();
    err e = {0};
    float out[24];
    expect_ok(reference_read_rows(r, "f32", 0, 6, 4, out, &e), &e);
    for (int i = 0; i < 24; i++) {
        ck_assert_float_eq(out[i], 1 + (float)i * 0x1p-23F);
    }
    expect_ok(reference_read_rows(r, "f32", 4, 2, 4, out, &e),
              &e); /* the rows of both dimensions */
    ck_assert_float_eq(out[0], 1 + 16 * 0x1p-23F);
    ck_assert_float_eq(out[7], 1 + 23 * 0x1p-23F);
    static const char *const names[] = {"bf16", "f16"};
    static const float smallest[] = {0x1p-133F, 0x1p-24F};
    static const float largest[] = {0x1.fep127F, 65504};
    for (int n = 0; n < 2; n++) {
        expect_ok(reference_read_rows(r, names[n], 0, 3, 2, out, &e), &e);
        for (int i = 0; i < 6; i++) {
            ck_assert_float_eq(out[i], i == 2 ? smallest[n] : i == 3 ? largest[n] : halves[i]);
            ck_assert_int_eq(signbit(out[i]) != 0, signbit(halves[i]) != 0);
        }
    }
    expect_ok(reference_read_rows(r, "scalar", 0, 1, 1, out, &e), &e);
    ck_assert_float_eq(out[0], 0x1.921fb6p1F);
    expect_ok(reference_read_rows(r, "none", 0, 0, 4, out, &e), &e);
    reference_close(r);
}
END_TEST

/* Rows that span chunks of reading. */
START_TEST(long_rows)
{
    reference *const r = make();
    err e = {0};
    float *const out = malloc(WIDE * sizeof *out);
    ck_assert_ptr_nonnull(out);
    expect_ok(reference_read_rows(r, "wide", 1, 1, WIDE, out, &e), &e);
    for (uint32_t i = 0; i < WIDE; i++) {
        uint32_t bits = 0;
        memcpy(&bits, &out[i], sizeof bits);
        ck_assert_uint_eq(bits, (WIDE + i) % 0x7f80 << 16);
    }
    free(out);
    reference_close(r);
}
END_TEST

START_TEST(token_ids)
{
    reference *const r = make();
    err e = {0};
    uint32_t *found = NULL;
    size_t sequences = 0;
    size_t length = 0;
    expect_ok(reference_ids(r, &found, &sequences, &length, &e), &e);
    ck_assert_uint_eq(sequences, 2);
    ck_assert_uint_eq(length, 3);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(found[i], ids[i]);
    }
    free(found);
    uint32_t out[6];
    expect_ok(reference_read_indices(r, "ids32", 0, 3, 2, out, &e), &e);
    ck_assert_uint_eq(out[1], INT32_MAX);
    ck_assert_uint_eq(out[5], 3);
    expect_ok(reference_read_indices(r, "ids32", 2, 1, 2, out, &e), &e);
    ck_assert_uint_eq(out[0], 2);
    expect_error(reference_read_indices(r, "negative", 0, 1, 2, out, &e), ERR_INPUT, &e,
                 "tensor negative: a number below 0 or above 2^32 - 1 is not a valid index");
    expect_error(reference_read_indices(r, "negative32", 0, 1, 2, out, &e), ERR_INPUT, &e,
                 "not a valid index");
    reference_close(r);
}
END_TEST

START_TEST(what_does_not_fit)
{
    reference *const r = make();
    err e = {0};
    float out[24];
    uint32_t indices[24];
    expect_error(reference_read_rows(r, "f33", 0, 1, 4, out, &e), ERR_INPUT, &e, "no tensor f33");
    expect_error(reference_read_rows(r, "f32", 0, 1, 3, out, &e), ERR_INPUT, &e,
                 "tensor f32: expected rows of 3, found shape [2, 3, 4]");
    expect_error(reference_read_rows(r, "f32", 5, 2, 4, out, &e), ERR_INPUT, &e,
                 "tensor f32: expected 7 rows, found shape [2, 3, 4]");
    expect_error(reference_read_rows(r, "f32", UINT64_MAX, 2, 4, out, &e), ERR_INPUT, &e, "rows");
    expect_error(reference_read_rows(r, "none", 0, 1, 4, out, &e), ERR_INPUT, &e,
                 "expected 1 rows, found shape [4, 0, 4]");
    expect_error(reference_read_rows(r, "ids32", 0, 1, 2, out, &e), ERR_INPUT, &e,
                 "tensor ids32: expected F32, BF16 or F16, found I32");
    expect_error(reference_read_indices(r, "f32", 0, 1, 4, indices, &e), ERR_INPUT, &e,
                 "tensor f32: expected I32 or I64, found F32");
    expect_ok(reference_check(r, "f32", 6, 4, &e), &e);
    expect_ok(reference_check(r, "none", 0, 4, &e), &e);
    expect_error(reference_check(r, "f32", 5, 4, &e), ERR_INPUT, &e, "expected 5 rows");
    expect_error(reference_check(r, "f32", 8, 3, &e), ERR_INPUT, &e, "expected rows of 3");
    expect_error(reference_check(r, "f33", 6, 4, &e), ERR_INPUT, &e, "no tensor");
    reference_close(r);
}
END_TEST

/* ---- other files ----------------------------------------------- */

static const struct {
    const char *header;
    size_t bytes;
    const char *why;
} bad_ids[] = {
    {"{}", 0, "no tensor input_ids"},
    {"{\"input_ids\":{\"dtype\":\"I32\",\"shape\":[3],\"data_offsets\":[0,12]}}", 12,
     "input_ids: expected [sequences, tokens], found shape [3]"},
    {"{\"input_ids\":{\"dtype\":\"I32\",\"shape\":[0,3],\"data_offsets\":[0,0]}}", 0,
     "found shape [0, 3]"},
    {"{\"input_ids\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[0,12]}}", 12,
     "input_ids: expected I32 or I64, found F32"},
    {"{\"input_ids\":{\"dtype\":\"I64\",\"shape\":[1,1],\"data_offsets\":[0,8]}}", 8,
     "input_ids: a number below 0 or above"},
};

START_TEST(ids_that_are_none)
{
    err e = {0};
    uint32_t *found = NULL;
    size_t sequences = 0;
    size_t length = 0;
    scratch_safetensors("r", bad_ids[_i].header, bad_ids[_i].bytes, 1);
    reference *const r = open_file(scratch("r"));
    expect_error(reference_ids(r, &found, &sequences, &length, &e), ERR_INPUT, &e, bad_ids[_i].why);
    ck_assert_ptr_null(found);
    reference_close(r);
}
END_TEST

/* A sparse file takes no space, but its ids would. */
START_TEST(too_many_ids)
{
    static const char header[] =
        "{\"input_ids\":{\"dtype\":\"I32\",\"shape\":[1,67108865],\"data_offsets\":[0,268435460]}}";
    err e = {0};
    uint32_t *found = NULL;
    size_t sequences = 0;
    size_t length = 0;
    scratch_safetensors("r", header, 0, 0);
    ck_assert_int_eq(truncate(scratch("r"), 8 + (off_t)strlen(header) + 268435460), 0);
    reference *const r = open_file(scratch("r"));
    expect_error(reference_ids(r, &found, &sequences, &length, &e), ERR_INPUT, &e,
                 "input_ids: more than 67108864 ids");
    reference_close(r);
}
END_TEST

static const struct {
    const char *names[4];
    const char *trained, *hf;
} logits[] = {
    {{"x"}, NULL, NULL},
    {{"logits"}, "logits", "logits"},
    {{"logits.engine", "logits.hf"}, "logits.engine", "logits.hf"},
    {{"logits.trained"}, "logits.trained", NULL},
    {{"logits.hf"}, NULL, "logits.hf"},
    {{"logits.hf", "logits"}, "logits", "logits.hf"},
    {{"logits.engine", "logits.trained", "logits"}, "logits.trained", "logits"},
};

static void expect_name(const char *found, const char *expected)
{
    if (expected) {
        ck_assert_ptr_nonnull(found);
        ck_assert_str_eq(found, expected);
    } else {
        ck_assert_ptr_null(found);
    }
}

START_TEST(names_of_logits)
{
    st_tensor tensors[4] = {0};
    size_t count = 0;
    for (; count < 4 && logits[_i].names[count]; count++) {
        tensors[count] = (st_tensor){
            .name = logits[_i].names[count], .type = DTYPE_F32, .ndim = 1, .shape = {0}};
    }
    st_writer *w = NULL;
    err e = {0};
    expect_ok(st_writer_open(scratch("r"), false, tensors, count, NULL, NULL, &w, &e), &e);
    expect_ok(st_writer_commit(&w, &e), &e);
    reference *const r = open_file(scratch("r"));
    expect_name(reference_logits(r, false), logits[_i].trained);
    expect_name(reference_logits(r, true), logits[_i].hf);
    reference_close(r);
}
END_TEST

START_TEST(no_reference)
{
    reference *r = NULL;
    err e = {0};
    expect_error(reference_open(scratch("none"), &r, &e), ERR_IO, &e, "cannot open");
    scratch_text("text", "not a safetensors file");
    expect_error(reference_open(scratch("text"), &r, &e), ERR_INPUT, &e, "not a safetensors file");
    ck_assert_ptr_null(r);
    reference_close(r);
}
END_TEST

/* Values as Python's struct unpacks them. */
START_TEST(golden_file)
{
    char path[512];
    err e = {0};
    snprintf(path, sizeof path, "%s/golden/ring-micro-linear/golden.safetensors",
             getenv("TESTDATA"));
    reference *const r = open_file(path);
    uint32_t *found = NULL;
    size_t sequences = 0;
    size_t length = 0;
    expect_ok(reference_ids(r, &found, &sequences, &length, &e), &e);
    ck_assert_uint_eq(sequences, 2);
    ck_assert_uint_eq(length, 96);
    ck_assert_uint_eq(found[0], 84);
    ck_assert_uint_eq(found[191], 262);
    free(found);
    ck_assert(reference_has(r, "hidden.5") && !reference_has(r, "hidden.6"));
    ck_assert_str_eq(reference_logits(r, false), "logits.engine");
    ck_assert_str_eq(reference_logits(r, true), "logits.hf");
    expect_ok(reference_check(r, "logits.hf", 192, 512, &e), &e);
    expect_ok(reference_check(r, "router_weight.4", 192, 2, &e), &e);
    float row[512];
    uint32_t experts[2];
    expect_ok(reference_read_rows(r, "logits.engine", 191, 1, 512, row, &e), &e);
    ck_assert_float_eq(row[0], -0x1.bbcbdcp3F);
    ck_assert_float_eq(row[511], -0x1.bab10ep-2F);
    expect_ok(reference_read_rows(r, "hidden.3", 100, 1, 192, row, &e), &e);
    ck_assert_float_eq(row[0], 0x1.49fbe2p-4F);
    ck_assert_float_eq(row[191], -0x1.ac7fb4p-1F);
    expect_ok(reference_read_indices(r, "router_index.2", 150, 1, 2, experts, &e), &e);
    ck_assert_uint_eq(experts[0], 3);
    ck_assert_uint_eq(experts[1], 0);
    reference_close(r);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("reference");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, every_dtype);
    tcase_add_test(tc, long_rows);
    tcase_add_test(tc, token_ids);
    tcase_add_test(tc, what_does_not_fit);
    tcase_add_loop_test(tc, ids_that_are_none, 0, COUNT(bad_ids));
    tcase_add_test(tc, too_many_ids);
    tcase_add_loop_test(tc, names_of_logits, 0, COUNT(logits));
    tcase_add_test(tc, no_reference);
    tcase_add_test(tc, golden_file);
    return run_tests("reference", tc);
}
