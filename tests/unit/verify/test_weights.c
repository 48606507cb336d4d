/* A correct file passes; every kind of fault in its tensors is found and named. */
#include <math.h>

#include "format/base/num.h"
#include "tests/aid/small_source.h"
#include "tests/aid/weights_case.h"

#define LAYER "model.layers.0."
#define UP    LAYER "mlp.experts.*.up_proj.weight"
#define Q     LAYER "self_attn.q_proj.weight"
#define GATE  LAYER "mlp.gate.weight"
#define EMBED "model.embed_tokens.weight"
#define FUSED "model.layers.1.mlp.experts.gate_up_proj"

/* Slices of more than one tile; q_proj spans several chunks, so its slices do as well. */
static const small_tensor tensors[] = {
    {EMBED, DTYPE_BF16, 2, {24, 40}, false},
    {LAYER "input_layernorm.weight", DTYPE_F16, 1, {40}, false},
    {GATE, DTYPE_F32, 2, {3, 40}, false},
    {UP, DTYPE_BF16, 3, {3, 140, 150}, true},
    {LAYER "mlp.experts.*.bias", DTYPE_BF16, 3, {3, 2, 5}, false},
    {Q, DTYPE_F32, 2, {130, 8200}, true},
    {LAYER "counter", DTYPE_I64, 0, {0}, false},
    {LAYER "empty", DTYPE_F32, 2, {0, 4}, false},
    {FUSED, DTYPE_F16, 3, {2, 130, 140}, true},
};

#define TENSORS (sizeof tensors / sizeof tensors[0])
#define CONFIG  "{\"a\": 1, \"b\": {\"c\": [1, 2], \"d\": 2.5}}"

static const small_model model = {tensors, TENSORS, CONFIG, 7};

/* ---- correct files --------------------------------------------- */

static void expect_right(const small_model *packed, const small_options *options)
{
    compare_ok(packed, options, packed);
    ck_assert_msg(report.difference_count == 0, "%s", report.differences[0]);
    ck_assert_uint_eq(report.wrong_tensors, 0);
    for (size_t i = 0; i < report.count; i++) {
        const weight_result *const w = &report.results[i];
        ck_assert(w->source_same);
        ck_assert_int_eq(w->first_wrong_slice, -1);
        ck_assert(!w->quantized || (w->sqnr > 20 && w->sqnr < 60));
        ck_assert(!w->quantized || w->worst_tile_sqnr <= w->sqnr);
        ck_assert(!w->quantized || (w->max_error > 0 && w->max_error < 0.05));
    }
}

START_TEST(a_right_file_passes)
{
    expect_right(&model, &(small_options){0});
    ck_assert_uint_eq(report.count, TENSORS);
    expect_right(&model, &(small_options){.ue8m0 = true, .sha256 = true});
    expect_right(&small_model_default, &(small_options){0});
}
END_TEST

/* ---- faults in the data ---------------------------------------- */

typedef struct fault {
    const char *record;
    uint64_t at;       /* byte of the record */
    unsigned char add; /* to this byte; 0: call `how` */
    void (*how)(small_pack *p, const pack_record *r);
} fault;

static void tamper(small_pack *p, const void *ctx)
{
    const fault *const f = ctx;
    const pack_record *const r = pack_table_find(&p->table, f->record);
    ck_assert_ptr_nonnull(r);
    if (f->how) {
        f->how(p, r);
    } else {
        p->bytes[r->off + f->at] = (unsigned char)(p->bytes[r->off + f->at] + f->add);
    }
}

/* Exactly one record is wrong, and no other difference is reported. */
static const weight_result *compare_fault(const fault *f, bool ue8m0, const char *record)
{
    compare_ok(&model, &(small_options){.ue8m0 = ue8m0, .tamper = tamper, .ctx = f}, &model);
    ck_assert_msg(report.difference_count == 0, "%s", report.differences[0]);
    ck_assert_uint_eq(report.wrong_tensors, 1);
    return result_of(record);
}

START_TEST(one_code_off_by_one)
{
    const uint64_t at = 140 * 150 + 139 * 150 + 7; /* the second expert's last row */
    const weight_result *w = compare_fault(&(fault){UP, at, 1, NULL}, false, UP);
    ck_assert_uint_eq(w->wrong_codes, 1);
    ck_assert_uint_eq(w->wrong_scales, 0);
    ck_assert_int_eq(w->first_wrong_slice, 1);
    ck_assert_uint_eq(w->first_wrong_index, 139 * 150 + 7);
    ck_assert(w->source_same);
    w = compare_fault(&(fault){Q, 129 * 8200 + 8199, 255, NULL}, true, Q);
    ck_assert_uint_eq(w->wrong_codes, 1);
    ck_assert_int_eq(w->first_wrong_slice, -1);
    ck_assert_uint_eq(w->first_wrong_index, 129 * 8200 + 8199);
    w = compare_fault(&(fault){FUSED, 130 * 140, 0x80, NULL}, false, FUSED); /* the sign */
    ck_assert_uint_eq(w->wrong_codes, 1);
    ck_assert_int_eq(w->first_wrong_slice, 1);
    ck_assert_uint_eq(w->first_wrong_index, 0);
}
END_TEST

START_TEST(one_scale_off_by_one_ulp)
{
    /* [3, 2, 2] floats: the third tile of the last expert */
    const fault f = {UP "_scale_inv", 4 * (2 * 4 + 2), 1, NULL};
    const weight_result *const w = compare_fault(&f, false, UP);
    ck_assert_uint_eq(w->wrong_scales, 1);
    ck_assert_uint_eq(w->wrong_codes, 0);
    ck_assert_int_eq(w->first_wrong_slice, 2);
    ck_assert_uint_eq(w->first_wrong_index, 2);
}
END_TEST

static void add_to(small_pack *p, const pack_record *r, uint64_t at, unsigned char value)
{
    p->bytes[r->off + at] = (unsigned char)(p->bytes[r->off + at] + value);
}

/* Three tiles side by side have a fault in their sixth, first and fourth row. */
static void three_codes(small_pack *p, const pack_record *r)
{
    add_to(p, r, 5 * 8200, 1);
    add_to(p, r, 128, 1);
    add_to(p, r, 3 * 8200 + 256, 1);
}

static void two_scales(small_pack *p, const pack_record *r)
{
    add_to(p, r, 4 * 5, 1);
    add_to(p, r, 4 * 9, 1);
}

/* The signs of a row of one tile. */
static void one_bad_tile(small_pack *p, const pack_record *r)
{
    for (unsigned i = 0; i < 128; i++) {
        add_to(p, r, 129 * 8200 + 3 * 128 + i, 0x80);
    }
}

START_TEST(the_first_and_the_worst_place)
{
    const weight_result *w = compare_fault(&(fault){Q, 0, 0, three_codes}, false, Q);
    ck_assert_uint_eq(w->wrong_codes, 3);
    ck_assert_uint_eq(w->first_wrong_index, 128);
    w = compare_fault(&(fault){Q "_scale_inv", 0, 0, two_scales}, false, Q);
    ck_assert_uint_eq(w->wrong_scales, 2);
    ck_assert_uint_eq(w->first_wrong_index, 5);
    w = compare_fault(&(fault){Q, 0, 0, one_bad_tile}, false, Q);
    ck_assert_uint_eq(w->worst_row, 1);
    ck_assert_uint_eq(w->worst_col, 3);
    ck_assert(w->worst_tile_sqnr < 10);
}
END_TEST

/* A power of two, but not the least one; 8 more in the byte that holds the exponent's low bit. */
START_TEST(a_power_of_two_that_is_not_the_least)
{
    const fault f = {Q "_scale_inv", 4 * (65 + 5) + 2, 0x80, NULL};
    const weight_result *const w = compare_fault(&f, true, Q);
    ck_assert_uint_eq(w->wrong_scales, 1);
    ck_assert_uint_eq(w->wrong_codes, 0);
    ck_assert_uint_eq(w->first_wrong_index, 65 + 5);
}
END_TEST

/* Elements of the first tile of q_proj, whose scale is 2^-10, that lie halfway between two codes:
 * the even code is right, and the odd code next to it is as near. */
static uint64_t ties;

static void round_ties_to_odd(small_pack *p, const pack_record *r)
{
    unsigned char *const source = malloc(4 * r->len);
    float *const x = malloc(4 * r->len);
    ck_assert(source && x);
    small_source_fill(model.seed, r->name, r->src_type, 4 * r->len, source);
    small_source_widen(r->src_type, source, r->len, x);
    ties = 0;
    for (uint64_t i = 0; i < 128 * 128; i++) {
        const uint64_t at = i / 128 * 8200 + i % 128;
        unsigned char *const code = &p->bytes[r->off + at];
        const int magnitude = *code & 0x7f;
        /* Between code c and c + 1: (17 + 2m) 2^(e-11), or (1 + 2m) 2^-10 among the subnormals */
        const float y = fabsf(x[at]) * 1024;
        for (int d = -1; d <= 0; d++) {
            const int low = magnitude + d;
            const int e = low >> 3;
            const int m = low & 7;
            const float middle =
                e ? ldexpf((float)(17 + 2 * m), e - 11) : ldexpf((float)(1 + 2 * m), -10);
            if (low >= 0 && y == middle) {
                *code = (unsigned char)((*code & 0x80) | (2 * low + 1 - magnitude));
                ties++;
            }
        }
    }
    free(x);
    free(source);
}

START_TEST(ties_rounded_to_odd)
{
    const weight_result *const w = compare_fault(&(fault){Q, 0, 0, round_ties_to_odd}, false, Q);
    ck_assert_uint_gt(ties, 100);
    ck_assert_uint_eq(w->wrong_codes, ties);
    ck_assert_uint_eq(w->wrong_scales, 0);
}
END_TEST

START_TEST(a_byte_of_a_kept_tensor)
{
    const weight_result *w = compare_fault(&(fault){EMBED, 77, 1, NULL}, false, EMBED);
    ck_assert_uint_eq(w->wrong_bytes, 1);
    ck_assert_uint_eq(w->first_wrong_index, 77);
    ck_assert_int_eq(w->first_wrong_slice, -1);
    const char *const bias = LAYER "mlp.experts.*.bias";
    w = compare_fault(&(fault){bias, 20 + 3, 1, NULL}, false, bias);
    ck_assert_int_eq(w->first_wrong_slice, 1);
    ck_assert_uint_eq(w->first_wrong_index, 3);
}
END_TEST

/* Codes and scales: everything fits together, but it is the wrong expert. */
static void swap_experts(small_pack *p, const pack_record *r)
{
    const pack_record *const both[] = {r, &p->table.records[r->scale_idx]};
    for (int i = 0; i < 2; i++) {
        const uint64_t bytes = both[i]->len / 3;
        unsigned char *const first = p->bytes + both[i]->off;
        for (uint64_t k = 0; k < bytes; k++) {
            const unsigned char byte = first[k];
            first[k] = first[bytes + k];
            first[bytes + k] = byte;
        }
    }
}

START_TEST(two_experts_swapped)
{
    const weight_result *const w = compare_fault(&(fault){UP, 0, 0, swap_experts}, false, UP);
    ck_assert_int_eq(w->first_wrong_slice, 0);
    ck_assert_uint_gt(w->wrong_codes, 140 * 150);
    ck_assert_uint_gt(w->wrong_scales, 0);
    ck_assert(w->source_same);
    ck_assert(w->sqnr < 10);
}
END_TEST

static void write_nan(small_pack *p, const pack_record *r)
{
    p->bytes[r->off + 3] |= 0x7f;
}

START_TEST(a_nan_code)
{
    const weight_result *const w = compare_fault(&(fault){UP, 0, 0, write_nan}, false, UP);
    ck_assert_uint_eq(w->wrong_codes, 1);
    ck_assert_uint_eq(w->first_wrong_index, 3);
}
END_TEST

/* ---- options --------------------------------------------------- */

START_TEST(findings_do_not_depend_on_threads)
{
    const fault f = {UP, 0, 0, swap_experts};
    const small_options options = {.tamper = tamper, .ctx = &f};
    weight_result first[TENSORS];
    err e = {0};
    for (unsigned threads = 1; threads <= 4; threads++) {
        const weights_options how = {.threads = threads, .memory = 200 << 20};
        expect_ok(compare(&model, &options, &model, &how, &e), &e);
        ck_assert_uint_eq(report.count, TENSORS);
        for (size_t i = 0; i < TENSORS; i++) {
            const weight_result *const w = &report.results[i];
            if (threads == 1) {
                first[i] = *w;
            }
            ck_assert_uint_eq(w->wrong_codes, first[i].wrong_codes);
            ck_assert_int_eq(memcmp(&w->sqnr, &first[i].sqnr, sizeof w->sqnr), 0);
            ck_assert_int_eq(memcmp(&w->worst_tile_sqnr, &first[i].worst_tile_sqnr, sizeof w->sqnr),
                             0);
            ck_assert_uint_eq(w->worst_row, first[i].worst_row);
            ck_assert_uint_eq(w->worst_col, first[i].worst_col);
            ck_assert_double_eq(w->max_error, first[i].max_error);
        }
    }
}
END_TEST

/* A bit of the finished file: digests do not cover it, so it is no difference but damage. */
static void compare_damaged(const char *record, const char *named)
{
    err e = {0};
    small_pack p;
    checkpoint *cp = NULL;
    small_pack_build(&model, &(small_options){0}, &p);
    const pack_record *const r = pack_table_find(&p.table, record);
    p.bytes[r->off + r->len - 1] ^= 0x40;
    scratch_write("a.octavo", p.bytes, p.length);
    small_pack_free(&p);
    mkdir(scratch("source"), 0777);
    small_checkpoint_write(&model, scratch("source"));
    pack_close(file);
    expect_ok(pack_open(scratch("a.octavo"), &file, &e), &e);
    expect_ok(checkpoint_open(scratch("source"), NULL, &cp, &e), &e);
    weights_report_free(&report);
    expect_error(weights_check(file, cp, &plain, NULL, &report, &e), ERR_DAMAGED, &e, named);
    checkpoint_close(cp);
}

START_TEST(damage_is_no_difference)
{
    const char *const records[] = {EMBED, UP, UP "_scale_inv", Q, FUSED "_scale_inv"};
    compare_damaged(records[_i], records[_i]);
}
END_TEST

START_TEST(a_glob_chooses)
{
    err e = {0};
    weights_options how = {.tensor_glob = "*experts.1.*", .threads = 1, .memory = 16 << 20};
    const fault f = {UP, 0, 0, swap_experts};
    const small_options options = {.tamper = tamper, .ctx = &f};
    expect_ok(compare(&model, &options, &model, &how, &e), &e);
    ck_assert_uint_eq(report.count, 2); /* up_proj and bias */
    ck_assert_int_eq(result_of(UP)->first_wrong_slice, 1);
    how.tensor_glob = "model.embed*";
    expect_ok(compare(&model, &options, &model, &how, &e), &e);
    ck_assert_uint_eq(report.count, 1);
    ck_assert_uint_eq(report.wrong_tensors, 0);
    how.tensor_glob = "model.embet*";
    expect_error(compare(&model, &options, &model, &how, &e), ERR_USAGE, &e, "embet");
}
END_TEST

START_TEST(a_budget_below_one_chunk)
{
    err e = {0};
    const weights_options how = {.threads = 1, .memory = 1 << 20};
    expect_error(compare(&model, &(small_options){0}, &model, &how, &e), ERR_MEMORY, &e, Q);
}
END_TEST

/* What is kept for each chunk counts as well: chunks may be as small as a byte. */
START_TEST(a_budget_below_the_results)
{
    err e = {0};
    const weights_options how = {.threads = 1, .memory = 256};
    expect_error(compare(&model, &(small_options){0}, &model, &how, &e), ERR_MEMORY, &e,
                 "chunks need 145 bytes each, 256 are allowed");
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("weights");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, scratch_make, weights_case_end);
    tcase_add_test(t, a_right_file_passes);
    tcase_add_test(t, one_code_off_by_one);
    tcase_add_test(t, one_scale_off_by_one_ulp);
    tcase_add_test(t, a_power_of_two_that_is_not_the_least);
    tcase_add_test(t, the_first_and_the_worst_place);
    tcase_add_test(t, ties_rounded_to_odd);
    tcase_add_test(t, a_byte_of_a_kept_tensor);
    tcase_add_test(t, two_experts_swapped);
    tcase_add_test(t, a_nan_code);
    tcase_add_test(t, findings_do_not_depend_on_threads);
    tcase_add_loop_test(t, damage_is_no_difference, 0, 5);
    tcase_add_test(t, a_glob_chooses);
    tcase_add_test(t, a_budget_below_one_chunk);
    tcase_add_test(t, a_budget_below_the_results);
    return run_tests("weights", t);
}
