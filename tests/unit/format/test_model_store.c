/* Both kinds of model, read tensor by tensor: the same names and shapes, the bytes that were
 * written, the scales that belong to them. */
#include <inttypes.h>

#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "tests/aid/conversion.h"
#include "tests/aid/small_source.h"
#include "tests/aid/store_case.h"

/* ---- lists ----------------------------------------------------- */

static void expect_same_lists(const store *a, const store *b)
{
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const store_tensor *const x = &a->tensors[i];
        const store_tensor *const y = &b->tensors[i];
        ck_assert_str_eq(x->name, y->name);
        ck_assert_uint_eq(x->ndim, y->ndim);
        ck_assert_mem_eq(x->shape, y->shape, sizeof x->shape);
        ck_assert_uint_eq(x->rows, y->rows);
        ck_assert_uint_eq(x->cols, y->cols);
        ck_assert(!x->quantized && x->of_source && !y->of_source);
        ck_assert_int_eq(y->type, y->quantized ? DTYPE_F8_E4M3 : x->type);
        ck_assert(i == 0 || strcmp(x[-1].name, x->name) < 0);
        ck_assert_ptr_eq(store_find(a, x->name), x);
        ck_assert_ptr_eq(store_find(b, x->name), y);
    }
}

START_TEST(both_kinds_have_the_same_tensors)
{
    ck_assert_uint_eq(from_source->count, COUNT(tensors) + 10 + 10);
    expect_same_lists(from_source, from_packed);
    ck_assert(from_source->source && !from_source->packed);
    ck_assert(from_packed->packed && !from_packed->source);
    const char *const absent[] = {
        "", UP, UP "_scale_inv", Q "_scale_inv", NORM "x", LAYER "mlp.experts.11.up_proj.weight"};
    for (int i = 0; i < COUNT(absent); i++) {
        ck_assert_ptr_null(store_find(from_source, absent[i]));
        ck_assert_ptr_null(store_find(from_packed, absent[i]));
    }
}
END_TEST

static const struct shape_case {
    const char *name;
    uint64_t rows, cols, row_bytes; /* in the packed file */
    bool quantized;
} shape_cases[] = {
    {NORM, 1, 41, 82, false},
    {LAYER "mlp.experts.10.up_proj.weight", 140, 150, 150, true},
    {LAYER "mlp.experts.7.bias", 2, 5, 10, false},
    {LAYER "mlp.experts.1a", 3, 7, 7, false},
    {Q, 300, 300, 300, true},
    {LAYER "counter", 1, 1, 8, false},
    {LAYER "empty", 0, 4, 16, false},
    {LAYER "empty_rows", 6, 0, 0, false},
    {LAYER "four", 24, 5, 40, false},
    {FUSED, 390, 140, 140, true},
};

START_TEST(rows_and_columns)
{
    for (int i = 0; i < COUNT(shape_cases); i++) {
        const struct shape_case *const c = &shape_cases[i];
        const store_tensor *const t = find(from_packed, c->name);
        ck_assert_uint_eq(t->rows, c->rows);
        ck_assert_uint_eq(t->cols, c->cols);
        ck_assert_uint_eq(t->row_bytes, c->row_bytes);
        ck_assert_int_eq(t->quantized, c->quantized);
        ck_assert_int_eq(t->block.code, c->quantized ? DTYPE_F8_E4M3 : DTYPE_NONE);
        ck_assert_int_eq(t->block.scale, SCALES_F32);
    }
    const store_tensor *const t = find(from_packed, Q);
    ck_assert_uint_eq(store_scale_count(t, 300), 9);
    ck_assert_uint_eq(store_scale_count(t, 128), 3);
    ck_assert_uint_eq(store_scale_count(t, 129), 6);
    ck_assert_uint_eq(store_scale_count(t, 0), 0);
    ck_assert_uint_eq(store_scale_count(find(from_source, Q), 300), 0);
    ck_assert_uint_eq(find(from_source, Q)->row_bytes, 1200);
}
END_TEST

START_TEST(powers_of_two_are_marked)
{
    write_packed(&model, true);
    store *const s = open_good(scratch("p"));
    const char *const quantized[] = {Q, LAYER "mlp.experts.3.up_proj.weight"};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(find(s, quantized[i])->block.scale, SCALES_UE8M0);
    }
    ck_assert_int_eq(find(s, NORM)->block.scale, SCALES_F32);
    store_close(s);
}
END_TEST

/* ---- reading --------------------------------------------------- */

static unsigned char *read_rows(store *s, const store_tensor *t, uint64_t first, uint64_t rows,
                                float *scales)
{
    unsigned char *const data = malloc(rows * t->row_bytes + 1);
    err e = {0};
    expect_ok(store_read(s, t, first, rows, data, scales, &e), &e);
    return data;
}

/* Compare with the values of the source tensor of this name. */
static void check_source_bytes(store *s, const store_tensor *t)
{
    const size_t bytes = t->rows * t->row_bytes;
    unsigned char *const expected = malloc(bytes + 1);
    small_source_fill(model.seed, t->name, t->type, bytes, expected);
    for (uint64_t first = 0; first <= t->rows; first += first + 1) {
        unsigned char *const data = read_rows(s, t, first, t->rows - first, NULL);
        ck_assert_mem_eq(data, expected + first * t->row_bytes, bytes - first * t->row_bytes);
        free(data);
    }
    free(expected);
}

/* Compare with the bytes of the file: `data` and `scales` are those of a slice of `rows` rows. */
static void check_codes(store *s, const store_tensor *t, uint64_t first, uint64_t rows,
                        const unsigned char *data, const unsigned char *scales)
{
    const size_t across = (t->cols + 127) / 128;
    for (uint64_t row = 0; row < rows; row += 128) {
        const uint64_t band = num_min(200, rows - row); /* of more than one row of tiles */
        const size_t count = store_scale_count(t, band);
        float found[16] = {0};
        ck_assert_uint_eq(count, (band + 127) / 128 * across);
        unsigned char *const codes = read_rows(s, t, first + row, band, found);
        ck_assert_mem_eq(codes, data + row * t->cols, band * t->cols);
        for (size_t i = 0; i < count; i++) {
            const uint32_t bits = le32_load(scales + 4 * (row / 128 * across + i));
            ck_assert_mem_eq(&found[i], &bits, sizeof bits);
            ck_assert(found[i] > 0 && found[i] < 1);
        }
        free(codes);
        ck_assert(count == COUNT(found) || found[count] == 0);
    }
}

START_TEST(values_are_those_of_the_source)
{
    for (size_t i = 0; i < from_source->count; i++) {
        check_source_bytes(from_source, &from_source->tensors[i]);
        if (!from_packed->tensors[i].quantized) {
            check_source_bytes(from_packed, &from_packed->tensors[i]);
        }
    }
}
END_TEST

/* The slices of a record, each read from rows that are multiples of 128; those of a stack are
 * separate tensors. */
START_TEST(codes_come_with_their_scales)
{
    const struct {
        const char *record, *format;
        uint64_t slices, rows, cols, tiles;
    } cases[] = {{Q, NULL, 1, 300, 300, 9},
                 {UP, LAYER "mlp.experts.%u.up_proj.weight", 11, 140, 150, 4},
                 {FUSED, NULL, 3, 130, 140, 4}};
    for (int i = 0; i < COUNT(cases); i++) {
        const pack_record *const r = pack_table_find(&packed.table, cases[i].record);
        const pack_record *const scales = &packed.table.records[r->scale_idx];
        for (unsigned k = 0; k < cases[i].slices; k++) {
            char name[256];
            snprintf(name, sizeof name, LAYER "mlp.experts.%u.up_proj.weight", k);
            const bool stack = cases[i].format != NULL;
            const store_tensor *const t = find(from_packed, stack ? name : cases[i].record);
            check_codes(from_packed, t, stack ? 0 : k * cases[i].rows, cases[i].rows,
                        packed.bytes + r->off + k * cases[i].rows * cases[i].cols,
                        packed.bytes + scales->off + 4 * k * cases[i].tiles);
        }
    }
}
END_TEST

START_TEST(wrong_rows_are_refused)
{
    unsigned char data[8];
    err e = {0};
    store *const s = from_packed;
    const store_tensor *const q = find(s, Q);
    const store_tensor *const fused = find(s, FUSED);
    expect_error(store_read(s, q, 1, 1, data, NULL, &e), ERR_INTERNAL, &e,
                 "tensor " Q ": a read that starts inside a tile");
    expect_error(store_read(s, q, 256, 45, data, NULL, &e), ERR_INTERNAL, &e,
                 "tensor " Q ": read beyond its end");
    expect_error(store_read(s, q, UINT64_MAX, 2, data, NULL, &e), ERR_INTERNAL, &e, "beyond");
    expect_error(store_read(s, fused, 0, 131, data, NULL, &e), ERR_INPUT, &e,
                 "tensor " FUSED ": its slices of 130 rows cannot be read together");
    expect_error(store_read(s, fused, 130 + 128, 3, data, NULL, &e), ERR_INPUT, &e, "slices");
    expect_error(store_read(s, fused, 256, 1, data, NULL, &e), ERR_INTERNAL, &e, "inside a tile");
    expect_ok(store_read(s, fused, 390, 0, data, NULL, &e), &e);
    expect_error(store_read(from_source, find(from_source, Q), 0, 301, data, NULL, &e),
                 ERR_INTERNAL, &e, "beyond");
}
END_TEST

/* Rows of 4-bit elements that end within a byte cannot be read, but are listed, so that the other
 * tensors can be. */
START_TEST(rows_of_half_bytes)
{
    unsigned char data[8];
    err e = {0};
    scratch_safetensors("f.safetensors",
                        "{\"a\":{\"dtype\":\"F4\",\"shape\":[2,3],\"data_offsets\":[0,3]},"
                        "\"b\":{\"dtype\":\"F4\",\"shape\":[3,2],\"data_offsets\":[3,6]}}",
                        6, 0);
    store *const s = open_good(scratch("f.safetensors"));
    ck_assert_uint_eq(find(s, "a")->row_bytes, 0);
    expect_error(store_read(s, find(s, "a"), 0, 2, data, NULL, &e), ERR_INPUT, &e,
                 "tensor a: rows of F4 that are not a whole number of bytes");
    expect_ok(store_read(s, find(s, "b"), 1, 2, data, NULL, &e), &e);
    ck_assert_mem_eq(data, "\x04\x05", 2);
    store_prefetch(s, find(s, "a"));
    store_close(s);
}
END_TEST

static err_code read_one(void *ctx, unsigned worker, uint64_t task, err *e)
{
    store *const s = ctx;
    (void)worker;
    float scales[16];
    const store_tensor *const t = &s->tensors[task];
    const uint64_t rows = t->quantized ? t->shape[t->ndim - 2] : t->rows;
    void *const data = malloc(rows * t->row_bytes + 1);
    store_prefetch(s, t);
    const err_code code = store_read(s, t, 0, rows, data, scales, e);
    free(data);
    return code;
}

START_TEST(threads_read_together)
{
    err e = {0};
    for (int i = 0; i < 20; i++) {
        expect_ok(parallel_for(4, from_source->count, read_one, from_source, NULL, &e), &e);
        expect_ok(parallel_for(4, from_packed->count, read_one, from_packed, NULL, &e), &e);
    }
}
END_TEST

START_TEST(a_file_that_ended_meanwhile)
{
    unsigned char data[300];
    float scales[16];
    err e = {0};
    const store_tensor *const q = find(from_packed, Q);
    ck_assert_int_eq(truncate(scratch("p"), (off_t)q->scale_off), 0);
    expect_error(store_read(from_packed, q, 0, 1, data, scales, &e), ERR_IO, &e, scratch("p"));
    ck_assert_int_eq(truncate(scratch("p"), 0), 0);
    expect_error(store_read(from_packed, q, 0, 1, data, scales, &e), ERR_IO, &e, scratch("p"));
    store_prefetch(from_packed, q);
    ck_assert_int_eq(unlink(scratch("source/model.safetensors")), 0);
    store_prefetch(from_source, find(from_source, Q));
    expect_error(store_read(from_source, find(from_source, Q), 0, 1, data, NULL, &e), ERR_IO, &e,
                 "model.safetensors");
}
END_TEST

/* ---- opening --------------------------------------------------- */

START_TEST(neither_kind)
{
    open_bad(scratch("none"), ERR_IO, "none");
    scratch_text("noise", "0123456789");
    open_bad(scratch("noise"), ERR_INPUT, "noise");
    scratch_write("cut", packed.bytes, packed.length - 1);
    open_bad(scratch("cut"), ERR_DAMAGED, "truncated");
}
END_TEST

/* The length of the section of source digests limits the number of tensors. */
START_TEST(a_table_that_promises_more_than_there_is)
{
    const pack_section *const sdig = small_pack_section(&packed, TAG_SDIG);
    const size_t number = (size_t)(sdig - packed.sections);
    char text[128];
    snprintf(text, sizeof text, "section SDIG: length, expected %" PRIu64 ", found %" PRIu64,
             sdig->len, sdig->len - 16);
    packed.sections[number].len -= 16;
    le64_store(packed.bytes + packed.length - PACK_BLOCK + PACK_DIR_OFF +
                   number * PACK_ENTRY_BYTES + 16,
               sdig->len);
    small_pack_sign(&packed, packed.bytes);
    scratch_write("p", packed.bytes, packed.length);
    open_bad(scratch("p"), ERR_INPUT, text);
}
END_TEST

START_TEST(members_with_names_too_long)
{
    char name[256];
    snprintf(name, sizeof name, "mlp.experts.*.%0241d", 0);
    ck_assert_uint_eq(strlen(name), 255);
    small_tensor long_one = {name, DTYPE_BF16, 3, {10, 2, 2}, false};
    const small_model fitting = {&long_one, 1, NULL, 1};
    write_packed(&fitting, false);
    store_close(open_good(scratch("p")));
    long_one.shape[0] = 11;
    write_packed(&fitting, false);
    open_bad(scratch("p"), ERR_INPUT, ": the name of member 10 is longer than 255 bytes");
}
END_TEST

/* ---- a real model ---------------------------------------------- */

START_TEST(a_converted_model)
{
    char source[400];
    snprintf(source, sizeof source, "%s/ring-micro-linear", getenv("TESTDATA"));
    conversion r = conversion_with(2, PLENTY * MIB);
    ck_assert_int_eq(mkdir(scratch("out"), 0777), 0);
    r.options.source = source;
    conversion_succeeds(&r);
    store *const a = open_good(source);
    store *const b = open_good(scratch("out/p"));
    expect_same_lists(a, b);
    const store_tensor *const t = find(b, "model.layers.4.mlp.experts.7.down_proj.weight");
    ck_assert(t->quantized && t->rows == 192 && t->cols == 48);
    ck_assert(!find(b, "model.layers.4.mlp.gate.weight")->quantized);
    char *config = NULL;
    size_t bytes = 0;
    err e = {0};
    expect_ok(store_file(a, "config.json", &config, &bytes, &e), &e);
    expect_file(b, "config.json", config);
    free(config);
    store_close(a);
    store_close(b);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("model_store");
    tcase_add_checked_fixture(t, store_case_setup, store_case_end);
    tcase_add_test(t, both_kinds_have_the_same_tensors);
    tcase_add_test(t, rows_and_columns);
    tcase_add_test(t, powers_of_two_are_marked);
    tcase_add_test(t, values_are_those_of_the_source);
    tcase_add_test(t, codes_come_with_their_scales);
    tcase_add_test(t, wrong_rows_are_refused);
    tcase_add_test(t, rows_of_half_bytes);
    tcase_add_test(t, threads_read_together);
    tcase_add_test(t, a_file_that_ended_meanwhile);
    tcase_add_test(t, neither_kind);
    tcase_add_test(t, a_table_that_promises_more_than_there_is);
    tcase_add_test(t, members_with_names_too_long);
    tcase_add_test(t, a_converted_model);
    return run_tests("model_store", t);
}
