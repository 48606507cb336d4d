/* Conversions of checkpoints in FP8: carried over bit for bit, or requantized like a checkpoint in
 * F32; FP8 for which neither is possible is refused. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/base/num.h"
#include "format/pack/pack_file.h"
#include "tests/aid/conversion.h"
#include "tests/aid/fp8_case.h"
#include "verify/weights/weights.h"

/* Several in one layer, with codes that are computed between them; more than a chunk; stacks are
 * made of single experts. */
static const fp8_case carried[] = {
    {"h.0.a.w1", "_scale_inv", DTYPE_F32, 2, {300, 200}, 128, 128, 0, {0}},
    {"h.0.c.w2", "_scale_inv", DTYPE_BF16, 2, {130, 700}, 128, 128, 0, {0}},
    {"h.0.e.w3", "_scale", DTYPE_F8_E8M0, 2, {1, 1}, 128, 128, 0, {0}},
    {"h.1.experts.w1", "_scale_inv", DTYPE_F16, 3, {3, 129, 257}, 128, 128, 0, {0}},
    {"h.2.experts.0.w1", "_scale_inv", DTYPE_F32, 2, {100, 300}, 128, 128, 0, {0}},
    {"h.2.experts.1.w1", "_scale_inv", DTYPE_F32, 2, {100, 300}, 128, 128, 0, {0}},
    {"h.3.experts.0.w1", "_scale", DTYPE_F32, 2, {100, 300}, 128, 128, 0, {0}},
    {"h.3.experts.1.w1", "_scale", DTYPE_BF16, 2, {100, 300}, 128, 128, 0, {0}},
    {"h.4.w1", "_scale_inv", DTYPE_F32, 2, {1000, 9000}, 128, 128, 0, {0}},
};

static const fp8_case other_tiles[] = {
    {"h.0.w1", "_scale_inv", DTYPE_F32, 2, {300, 200}, 64, 64, 0, {0}},
    {"h.1.experts.w1", "_scale_inv", DTYPE_BF16, 3, {3, 129, 257}, 64, 64, 0, {0}},
    {"h.2.experts.0.w1", "_scale_inv", DTYPE_F8_E8M0, 2, {100, 300}, 64, 64, 0, {0}},
    {"h.2.experts.1.w1", "_scale_inv", DTYPE_F16, 2, {100, 300}, 64, 64, 0, {0}},
    {"h.3.w1", "_scale_inv", DTYPE_F32, 2, {700, 9000}, 64, 64, 0, {0}},
};

static const fp8_case bare_shapes[] = {
    {"h.0.w1", "_scale", DTYPE_F32, 2, {300, 200}, 1, 200, 1, {300}},
    {"h.1.w1", "_scale", DTYPE_BF16, 2, {700, 9000}, 1, 9000, 2, {700, 1}},
    {"h.2.w1", "_scale", DTYPE_F32, 2, {300, 200}, 300, 200, 1, {1}},
    {"h.2.experts.w1", "_scale", DTYPE_F32, 3, {2, 300, 200}, 1, 200, 0, {0}},
};

static void make_plain(made_checkpoint *c, uint64_t *state)
{
    made_fill(made_add(c, "h.0.b.w1", DTYPE_BF16, 2, (uint64_t[]){200, 140}, true), state,
              MADE_NARROW);
    made_fill(made_add(c, "h.0.d.w1", DTYPE_F32, 2, (uint64_t[]){20, 300}, true), state,
              MADE_NARROW);
    made_fill(made_add(c, "h.0.norm", DTYPE_F32, 1, (uint64_t[]){77}, false), state, MADE_NARROW);
}

/* Linear layers that are not FP8 are kept if others are, unless a rule says otherwise. */
static void quantize_plain(recipe *r)
{
    err e = {0};
    expect_ok(recipe_add_rule(r, "h.0.[bd].w1", true, true, &e), &e);
}

static void make_fp8(made_checkpoint *c, const fp8_case *cases, int count, uint64_t *state)
{
    for (int i = 0; i < count; i++) {
        fp8_add(c, &cases[i], state);
    }
}

static char *read_record(const pack_file *p, const char *name, const pack_record **r)
{
    err e = {0};
    *r = pack_table_find(&p->table, name);
    ck_assert_msg(*r != NULL, "%s", name);
    char *const data = malloc((*r)->len + 1);
    expect_ok(io_read_at(p->fd, p->path, (*r)->off, data, (*r)->len, &e), &e);
    return data;
}

/* The file contains the bytes of a source tensor: in a record of its own, or in a stack. */
static void expect_carried(const pack_file *p, const made_tensor *t, const char *name, dtype type)
{
    const pack_record *r = NULL;
    char stack[NAME_MAX_BYTES + 1];
    uint64_t index = 0;
    const bool own = pack_table_find(&p->table, name) != NULL;
    ck_assert(own || (name_expert_index(name, &index) && name_make_stack(name, stack)));
    char *const data = read_record(p, own ? name : stack, &r);
    ck_assert_int_eq(r->origin, ORIGIN_CARRIED);
    ck_assert_int_eq(r->type, type);
    ck_assert_mem_eq(data + index * t->bytes, t->data, t->bytes);
    free(data);
}

static void expect_right(const char *packed)
{
    const weights_options how = {.threads = 2, .memory = PLENTY * MIB};
    pack_file *p = NULL;
    checkpoint *cp = NULL;
    weights_report found;
    err e = {0};
    expect_ok(pack_open(scratch(packed), &p, &e), &e);
    expect_ok(checkpoint_open(scratch("in"), &(monitor){0}, &cp, &e), &e);
    expect_ok(weights_check(p, cp, &how, &(monitor){0}, &found, &e), &e);
    ck_assert_msg(found.difference_count == 0, "%s", found.differences[0]);
    ck_assert_uint_eq(found.wrong_tensors, 0);
    weights_report_free(&found);
    checkpoint_close(cp);
    pack_close(p);
}

static void expect_same_files(const char *a, const char *b)
{
    char *data[2];
    size_t bytes[2];
    err e = {0};
    expect_ok(io_read_file(scratch(a), (size_t)1 << 32, &data[0], &bytes[0], &e), &e);
    expect_ok(io_read_file(scratch(b), (size_t)1 << 32, &data[1], &bytes[1], &e), &e);
    ck_assert_uint_eq(bytes[0], bytes[1]);
    ck_assert(memcmp(data[0], data[1], bytes[0]) == 0);
    free(data[0]);
    free(data[1]);
}

START_TEST(tiles_are_carried_over)
{
    uint64_t state = random_seed(_i);
    made_checkpoint c = {0};
    pack_file *p = NULL;
    make_fp8(&c, carried, COUNT(carried), &state);
    make_plain(&c, &state);
    made_write(&c, scratch("in"), 2);
    conversion r = conversion_with(2, PLENTY * MIB);
    r.options.digest = _i ? DIGEST_SHA256 : DIGEST_XXH3;
    quantize_plain(&r.recipe);
    conversion_succeeds(&r);
    expect_ok(pack_open(scratch("out/p"), &p, &r.e), &r.e);
    for (int i = 0; i < COUNT(carried); i++) {
        const fp8_case *const k = &carried[i];
        char source[300], scales[300];
        snprintf(source, sizeof source, "%s%s", k->name, k->suffix);
        snprintf(scales, sizeof scales, "%s_scale_inv", k->name);
        expect_carried(p, made_find(&c, k->name), k->name, DTYPE_F8_E4M3);
        expect_carried(p, made_find(&c, source), scales, k->scales);
    }
    const bool stacked = pack_table_find(&p->table, "h.2.experts.*.w1") != NULL;
    const bool mixed = pack_table_find(&p->table, "h.3.experts.*.w1") != NULL;
    ck_assert(stacked && !mixed); /* scales of two dtypes do not form a stack */
    pack_close(p);
    expect_right("out/p");
    ck_assert_int_eq(rename(scratch("out/p"), scratch("first")), 0);
    for (unsigned threads = 1; threads < 7; threads += 2) {
        conversion again = conversion_with(threads, threads == 1 ? 12 * MIB : PLENTY * MIB);
        again.options.digest = r.options.digest;
        again.recipe = r.recipe;
        again.options.force = true;
        conversion_succeeds(&again);
        expect_same_files("first", "out/p");
    }
    recipe_free(&r.recipe);
    made_free(&c);
}
END_TEST

/* Are all records of two files equal, codes and scales? */
static void expect_same_codes(const char *a, const char *b)
{
    pack_file *p[2] = {NULL, NULL};
    err e = {0};
    expect_ok(pack_open(scratch(a), &p[0], &e), &e);
    expect_ok(pack_open(scratch(b), &p[1], &e), &e);
    ck_assert_uint_eq(p[0]->table.count, p[1]->table.count);
    for (uint32_t i = 0; i < p[0]->table.count; i++) {
        const char *const name = p[0]->table.records[i].name;
        const pack_record *r[2];
        char *const data[] = {read_record(p[0], name, &r[0]), read_record(p[1], name, &r[1])};
        ck_assert_uint_eq(r[0]->len, r[1]->len);
        ck_assert_int_eq(r[0]->origin, ORIGIN_QUANTIZED);
        ck_assert_int_eq(r[0]->block.scale, r[1]->block.scale);
        ck_assert_msg(memcmp(data[0], data[1], r[0]->len) == 0, "%s", name);
        free(data[0]);
        free(data[1]);
    }
    pack_close(p[0]);
    pack_close(p[1]);
}

static void fails_with_hint(conversion *r, const char *text, const char *hint)
{
    const err_code code = conversion_run(r);
    ck_assert_ptr_nonnull(strstr(r->e.hint, hint));
    expect_error(code, ERR_INPUT, &r->e, text);
    ck_assert_int_eq(conversion_entries("out"), 0);
}

/* The result is that of a source with the dequantized values, in F32. */
static void requantize(const fp8_case *cases, int count, uint64_t tile, scale_format scales)
{
    uint64_t state = random_seed((int)scales);
    made_checkpoint c = {0};
    made_checkpoint wide = {0};
    make_fp8(&c, cases, count, &state);
    for (int i = 0; i < count; i++) {
        fp8_add_wide(&wide, &c, &cases[i]);
    }
    conversion r = conversion_with(2, PLENTY * MIB);
    r.recipe.scales = scales;
    made_write(&wide, scratch("in"), 1);
    conversion_succeeds(&r);
    ck_assert_int_eq(rename(scratch("out/p"), scratch("wide")), 0);
    const double error = r.report.sum_sq_error;
    made_write(&c, scratch("in"), 1);
    fp8_write_config(tile, tile);
    fails_with_hint(&r, "have to be quantized again", "--requantize");
    r.recipe.requantize = true;
    conversion_succeeds(&r);
    ck_assert(r.report.sum_sq_error == error && error > 0);
    expect_same_codes("out/p", "wide");
    expect_right("out/p");
    ck_assert_int_eq(rename(scratch("out/p"), scratch("first")), 0);
    conversion again = conversion_with(5, PLENTY * MIB);
    again.recipe = r.recipe;
    conversion_succeeds(&again);
    expect_same_files("first", "out/p");
    made_free(&c);
    made_free(&wide);
}

START_TEST(other_tiles_are_rounded_once_more)
{
    requantize(other_tiles, COUNT(other_tiles), 64, (scale_format)_i);
}
END_TEST

START_TEST(rows_and_tensors_are_rounded_once_more)
{
    requantize(bare_shapes, COUNT(bare_shapes), 0, (scale_format)_i);
}
END_TEST

/* Scales whose dtype does not make them powers of two, where powers of two are asked for. */
START_TEST(ue8m0_of_tiles)
{
    requantize(&carried[0], 2, 128, SCALES_UE8M0);
}
END_TEST

/* A scale for each element: four times as many bytes as there are codes, in every slot. */
START_TEST(scales_count_as_buffers)
{
    static const fp8_case k = {"h.0.w1", "_scale_inv", DTYPE_F32, 2, {256, 512}, 1, 1, 0, {0}};
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    make_fp8(&c, &k, 1, &state);
    made_write(&c, scratch("in"), 1);
    fp8_write_config(1, 1);
    conversion r = conversion_with(2, PLENTY * MIB);
    r.recipe.requantize = true;
    conversion_succeeds(&r);
    const uint64_t slots = r.slots.count * (r.slots.in_bytes + r.slots.out_bytes);
    ck_assert_uint_ge(r.slots.total_bytes - slots, r.slots.count * 4 * k.shape[0] * k.shape[1]);
    made_free(&c);
}
END_TEST

START_TEST(what_was_spared_is_kept)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    pack_file *p = NULL;
    make_fp8(&c, carried, 1, &state);
    make_plain(&c, &state);
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_with(2, PLENTY * MIB);
    conversion_succeeds(&r);
    expect_right("out/p");
    expect_ok(pack_open(scratch("out/p"), &p, &r.e), &r.e);
    ck_assert_int_eq(pack_table_find(&p->table, "h.0.b.w1")->cls, CLASS_KEPT);
    pack_close(p);
    made_free(&c);
}
END_TEST

START_TEST(e8m0_is_carried_as_ue8m0)
{
    static const fp8_case k = {"h.0.w1", "_scale", DTYPE_F8_E8M0, 2, {200, 200}, 128, 128, 0, {0}};
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    fp8_add(&c, &k, &state);
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_with(2, PLENTY * MIB);
    r.recipe.scales = SCALES_UE8M0;
    conversion_succeeds(&r);
    expect_right("out/p");
    made_free(&c);
}
END_TEST

/* ---- what is refused ------------------------------------------- */

static const struct {
    const char *tensor;
    uint64_t byte;
    unsigned char value;
    const char *message, *keep;
} broken[] = {
    {"h.0.a.w1", 300 * 200 - 1, 0x7f, "tensor h.0.a.w1: an infinity or NaN at index 59999",
     "h.0.a.w1"},
    {"h.0.a.w1", 5, 0xff, "tensor h.0.a.w1: an infinity or NaN at index 5, the first of 1",
     "h.0.a.w1"},
    {"h.0.c.w2_scale_inv", 15, 0x7f, "tensor h.0.c.w2_scale_inv: an infinity or NaN", "h.0.c.w2"},
    {"h.0.e.w3_scale", 0, 0xff, "tensor h.0.e.w3_scale: an infinity or NaN at index 0", "h.0.e.w3"},
};

START_TEST(nan_is_refused)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    char hint[100];
    make_fp8(&c, carried, 3, &state);
    made_tensor *const t = (made_tensor *)made_find(&c, broken[_i].tensor);
    t->data[broken[_i].byte] = broken[_i].value;
    if (t->type == DTYPE_BF16) {
        t->data[broken[_i].byte - 1] |= 0x80;
    }
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_with(2, PLENTY * MIB);
    snprintf(hint, sizeof hint, "--keep '%s'", broken[_i].keep);
    fails_with_hint(&r, broken[_i].message, hint);
    expect_ok(recipe_add_rule(&r.recipe, broken[_i].keep, false, true, &r.e), &r.e);
    conversion_succeeds(&r);
    recipe_free(&r.recipe);
    made_free(&c);
}
END_TEST

/* A linear layer without scales, and scales that belong to no tensor, unless they are kept. */
START_TEST(scales_have_to_fit)
{
    static const char *const messages[] = {
        "tensor h.0.w1: FP8 without scales: h.0.w1_scale_inv not found",
        "tensor h.0.w2_scale_inv: scales that belong to no F8_E4M3 tensor",
        "tensor h.0.w3_scale_inv: scales of h.0.w3, expected shape [1,2], found [2,2]"};
    static const char *const kept[] = {"h.0.w1", "h.0.w2_scale_inv", "h.0.w3"};
    made_checkpoint c = {0};
    made_add(&c, "h.0.w1", DTYPE_F8_E4M3, 2, (uint64_t[]){3, 3}, false);
    made_add(&c, "h.0.w2_scale_inv", DTYPE_F32, 2, (uint64_t[]){1, 1}, false);
    made_add(&c, "h.0.w3", DTYPE_F8_E4M3, 2, (uint64_t[]){3, 200}, false);
    made_add(&c, "h.0.w3_scale_inv", DTYPE_F32, 2, (uint64_t[]){2, 2}, false);
    made_add(&c, "h.0.other", DTYPE_F8_E4M3, 2, (uint64_t[]){3, 200}, false);
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_with(2, PLENTY * MIB);
    r.options.allow_none = true;
    for (int i = 0; i < COUNT(messages); i++) {
        conversion_fails(&r, ERR_INPUT, messages[i]);
        expect_ok(recipe_add_rule(&r.recipe, kept[i], false, true, &r.e), &r.e);
    }
    conversion_succeeds(&r);
    expect_right("out/p");
    recipe_free(&r.recipe);
    made_free(&c);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("fp8_input");
    tcase_add_checked_fixture(tc, conversion_setup, scratch_remove);
    tcase_add_loop_test(tc, tiles_are_carried_over, 0, 2);
    tcase_add_loop_test(tc, other_tiles_are_rounded_once_more, 0, 2);
    tcase_add_loop_test(tc, rows_and_tensors_are_rounded_once_more, 0, 2);
    tcase_add_test(tc, ue8m0_of_tiles);
    tcase_add_test(tc, scales_count_as_buffers);
    tcase_add_test(tc, what_was_spared_is_kept);
    tcase_add_test(tc, e8m0_is_carried_as_ue8m0);
    tcase_add_loop_test(tc, nan_is_refused, 0, COUNT(broken));
    tcase_add_test(tc, scales_have_to_fit);
    return run_tests("fp8_input", tc);
}
