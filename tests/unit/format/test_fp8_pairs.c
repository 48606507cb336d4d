/* Which scales belong to which weights in FP8, what their tiles are, and what is refused. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/checkpoint/fp8_pairs.h"
#include "tests/aid/expect.h"
#include "tests/aid/made_checkpoint.h"
#include "tests/aid/scratch.h"

static made_checkpoint made;
static checkpoint *cp;
static fp8_pairs pairs;
static err e;

static void begin(void)
{
    scratch_make();
    made = (made_checkpoint){0};
    cp = NULL;
    pairs = (fp8_pairs){0};
    e = (err){0};
}

static void end(void)
{
    fp8_pairs_free(&pairs);
    checkpoint_close(cp);
    made_free(&made);
    scratch_remove();
}

static void add(const char *name, dtype type, unsigned ndim, uint64_t a, uint64_t b, uint64_t c)
{
    made_add(&made, name, type, ndim, (uint64_t[]){a, b, c}, false);
}

/* With this quantization_config; NULL: without one. */
static void find(const char *description)
{
    char text[400];
    made_write(&made, scratch_dir, 1);
    snprintf(text, sizeof text, "{\"quantization_config\": %s}", description);
    scratch_text("config.json", description ? text : "{}");
    expect_ok(checkpoint_open(scratch_dir, &(monitor){0}, &cp, &e), &e);
    expect_ok(fp8_pairs_find(cp, NULL, &pairs, &e), &e);
}

static const fp8_pair *pair_of(const char *name)
{
    const tensor *const t = checkpoint_find(cp, name);
    ck_assert_msg(t != NULL, "%s", name);
    return &pairs.of[t - cp->tensors];
}

static void is(const char *name, fp8_kind kind, const char *other)
{
    const fp8_pair *const p = pair_of(name);
    ck_assert_msg(p->kind == kind, "%s: %d, expected %d", name, (int)p->kind, (int)kind);
    ck_assert_int_eq(p->other != NULL, other != NULL);
    if (other) {
        ck_assert_str_eq(p->other->name, other);
    }
}

static void has_tiles(const char *name, uint64_t rows, uint64_t cols)
{
    const fp8_pair *const p = pair_of(name);
    ck_assert_int_eq(p->kind, FP8_WEIGHT);
    ck_assert_uint_eq(p->block.rows, rows);
    ck_assert_uint_eq(p->block.cols, cols);
}

static void refused(const char *name, const char *text)
{
    const tensor *const t = checkpoint_find(cp, name);
    const err_code code = fp8_pairs_check(cp, &pairs, (size_t)(t - cp->tensors), &e);
    ck_assert_ptr_nonnull(strstr(e.hint, "--keep"));
    expect_error(code, ERR_INPUT, &e, text);
}

START_TEST(every_kind)
{
    add("a.weight", DTYPE_F8_E4M3, 2, 130, 300, 0);
    add("a.weight_scale_inv", DTYPE_F32, 2, 2, 3, 0);
    add("b.weight", DTYPE_F8_E4M3, 2, 128, 1, 0);
    add("b.weight_scale", DTYPE_BF16, 2, 1, 1, 0);
    add("c.experts.up", DTYPE_F8_E4M3, 3, 4, 129, 128);
    add("c.experts.up_scale_inv", DTYPE_F8_E8M0, 3, 4, 2, 1);
    add("none.weight", DTYPE_F8_E4M3, 2, 3, 3, 0);
    add("vector.weight", DTYPE_F8_E4M3, 1, 3, 0, 0);
    add("empty.weight", DTYPE_F8_E4M3, 2, 0, 3, 0);
    add("e5m2.weight", DTYPE_F8_E5M2, 2, 3, 3, 0);
    add("bad.weight", DTYPE_F8_E4M3, 2, 130, 300, 0);
    add("bad.weight_scale_inv", DTYPE_F32, 2, 3, 2, 0);
    add("type.weight", DTYPE_F8_E4M3, 2, 3, 3, 0);
    add("type.weight_scale_inv", DTYPE_F64, 2, 1, 1, 0);
    add("two.weight", DTYPE_F8_E4M3, 2, 3, 3, 0);
    add("two.weight_scale", DTYPE_F32, 2, 1, 1, 0);
    add("two.weight_scale_inv", DTYPE_F32, 2, 1, 1, 0);
    add("lone.weight_scale_inv", DTYPE_F32, 2, 1, 1, 0);
    add("plain.weight", DTYPE_BF16, 2, 3, 3, 0);
    add("plain.weight_scale_inv", DTYPE_F32, 2, 1, 1, 0);
    add("k_proj.k_scale", DTYPE_F32, 1, 1, 0, 0);
    add("_scale_inv", DTYPE_F32, 1, 1, 0, 0);
    find(NULL);
    is("a.weight", FP8_WEIGHT, "a.weight_scale_inv");
    is("a.weight_scale_inv", FP8_SCALES, "a.weight");
    is("b.weight", FP8_WEIGHT, "b.weight_scale");
    is("b.weight_scale", FP8_SCALES, "b.weight");
    is("c.experts.up", FP8_WEIGHT, "c.experts.up_scale_inv");
    has_tiles("a.weight", 128, 128);
    has_tiles("b.weight", 128, 128);
    has_tiles("c.experts.up", 128, 128);
    is("none.weight", FP8_NO_SCALES, NULL);
    is("vector.weight", FP8_NONE, NULL);
    is("empty.weight", FP8_NONE, NULL);
    is("e5m2.weight", FP8_NONE, NULL);
    is("bad.weight", FP8_BAD_SCALES, "bad.weight_scale_inv");
    is("type.weight", FP8_BAD_SCALES, "type.weight_scale_inv");
    is("two.weight", FP8_TWO_SCALES, "two.weight_scale_inv");
    is("lone.weight_scale_inv", FP8_LONE_SCALES, NULL);
    is("plain.weight", FP8_NONE, NULL);
    is("plain.weight_scale_inv", FP8_LONE_SCALES, NULL);
    is("k_proj.k_scale", FP8_NONE, NULL);
    is("_scale_inv", FP8_NONE, NULL);
    refused("none.weight", "tensor none.weight: FP8 without scales");
    refused("bad.weight", "tensor bad.weight_scale_inv: scales of bad.weight, expected shape "
                          "[2,3], found [3,2]");
    refused("type.weight", "tensor type.weight_scale_inv: scales of type.weight, expected dtype "
                           "F32, BF16, F16 or F8_E8M0, found F64");
    refused("two.weight", "tensor two.weight: has scales under two names");
    refused("lone.weight_scale_inv",
            "tensor lone.weight_scale_inv: scales that belong to no F8_E4M3");
}
END_TEST

/* If the config gives no tile size, one scale per row or per tensor is recognized by the shape. */
START_TEST(tiles_without_config)
{
    add("row.weight", DTYPE_F8_E4M3, 2, 300, 500, 0);
    add("row.weight_scale", DTYPE_BF16, 2, 300, 1, 0);
    add("rows.weight", DTYPE_F8_E4M3, 2, 300, 500, 0);
    add("rows.weight_scale", DTYPE_F32, 1, 300, 0, 0);
    add("all.weight", DTYPE_F8_E4M3, 2, 300, 500, 0);
    add("all.weight_scale", DTYPE_F32, 0, 0, 0, 0);
    add("one.weight", DTYPE_F8_E4M3, 2, 300, 500, 0);
    add("one.weight_scale", DTYPE_F32, 1, 1, 0, 0);
    add("stack", DTYPE_F8_E4M3, 3, 2, 300, 500);
    add("stack_scale", DTYPE_F32, 3, 2, 300, 1);
    add("wrong", DTYPE_F8_E4M3, 3, 2, 300, 500);
    add("wrong_scale", DTYPE_F32, 1, 2, 0, 0);
    find(NULL);
    has_tiles("row.weight", 1, 500);
    has_tiles("rows.weight", 1, 500);
    has_tiles("all.weight", 300, 500);
    has_tiles("one.weight", 300, 500);
    has_tiles("stack", 1, 500);
    is("wrong", FP8_BAD_SCALES, "wrong_scale");
}
END_TEST

static const struct {
    const char *text;
    uint64_t rows, cols;
} configs[] = {
    {"{\"weight_block_size\":[64,32]}", 64, 32},
    {"{\"weight_block_size\":null}", 0, 0},
    {"[]", 0, 0},
    {"{\"config_groups\":{\"a\":{\"weights\":{\"block_structure\":[64,32]}}}}", 64, 32},
    {"{\"config_groups\":{\"a\":{\"weights\":{\"block_structure\":[64,32]}},"
     "\"b\":{\"weights\":{\"block_structure\":[64,32]}}}}",
     64, 32},
    {"{\"config_groups\":{\"a\":{\"weights\":{\"block_structure\":[64,32]}},"
     "\"b\":{\"weights\":{}}}}",
     64, 32},
    {"{\"config_groups\":{\"a\":{\"weights\":{\"num_bits\":4}},"
     "\"b\":{\"weights\":{\"block_structure\":[64,32]}}}}",
     64, 32},
};

/* Groups with tiles and groups without: a scale for each row is that of a weight of the latter,
 * unless the latter is not FP8. */
START_TEST(groups_without_tiles)
{
    char text[300];
    add("a.weight", DTYPE_F8_E4M3, 2, 130, 300, 0);
    add("a.weight_scale", DTYPE_F32, 2, 130, 1, 0);
    snprintf(text, sizeof text,
             "{\"config_groups\":{\"a\":{\"weights\":{\"block_structure\":[64,32]}},"
             "\"b\":{\"weights\":{\"num_bits\":%d,\"type\":\"float\"}}}}",
             _i ? 8 : 4);
    find(text);
    if (_i) {
        has_tiles("a.weight", 1, 300);
    } else {
        is("a.weight", FP8_BAD_SCALES, "a.weight_scale");
    }
}
END_TEST

/* Scales under the names that other writers use. */
START_TEST(other_spellings)
{
    static const char *const names[] = {"a.weight_scale_inv", "a.weight_scale", "a.scale",
                                        "a.qscale_weight", "a.scale_weight"};
    add("a.weight", DTYPE_F8_E4M3, 2, 130, 300, 0);
    add(names[_i], DTYPE_BF16, 2, 2, 3, 0);
    add("b.scale", DTYPE_F32, 2, 2, 3, 0);
    find(NULL);
    is("a.weight", FP8_WEIGHT, names[_i]);
    is("b.scale", FP8_NONE, NULL);
}
END_TEST

START_TEST(tile_of_the_config)
{
    add("a.weight", DTYPE_F8_E4M3, 2, 130, 300, 0);
    add("a.weight_scale_inv", DTYPE_F32, 2, configs[_i].rows ? 3 : 2, configs[_i].rows ? 10 : 3, 0);
    find(configs[_i].text);
    ck_assert_uint_eq(pairs.described.block.rows, configs[_i].rows);
    ck_assert_uint_eq(pairs.described.block.cols, configs[_i].cols);
    has_tiles("a.weight", configs[_i].rows ? 64 : 128, configs[_i].rows ? 32 : 128);
}
END_TEST

/* If the config gives a tile size, one scale per row is a wrong shape. */
START_TEST(config_overrules_shapes)
{
    add("a.weight", DTYPE_F8_E4M3, 2, 130, 300, 0);
    add("a.weight_scale_inv", DTYPE_F32, 2, 130, 1, 0);
    find("{\"weight_block_size\":[64,32]}");
    is("a.weight", FP8_BAD_SCALES, "a.weight_scale_inv");
    refused("a.weight", "expected shape [3,10], found [130,1]");
}
END_TEST

static const struct {
    const char *quantization, *message;
} bad_configs[] = {
    {"{\"weight_block_size\":[64]}", "weight_block_size: expected two integers from 1 to 65535"},
    {"{\"weight_block_size\":[64,0]}", "weight_block_size"},
    {"{\"weight_block_size\":[65536,64]}", "weight_block_size"},
    {"{\"weight_block_size\":[64,\"32\"]}", "weight_block_size"},
    {"{\"config_groups\":{\"a\":{\"weights\":{\"block_structure\":[64,32]}},"
     "\"b\":{\"weights\":{\"block_structure\":[32,32]}}}}",
     "config_groups: tiles of more than one size"},
};

START_TEST(tiles_that_the_config_cannot_mean)
{
    char text[400];
    add("a.weight", DTYPE_F8_E4M3, 2, 130, 300, 0);
    made_write(&made, scratch_dir, 1);
    snprintf(text, sizeof text, "{\"quantization_config\": %s}", bad_configs[_i].quantization);
    scratch_text("config.json", text);
    expect_ok(checkpoint_open(scratch_dir, &(monitor){0}, &cp, &e), &e);
    expect_error(fp8_pairs_find(cp, NULL, &pairs, &e), ERR_INPUT, &e, bad_configs[_i].message);
}
END_TEST

/* Every row of scales that applies to any of the rows, and no other. */
START_TEST(bands)
{
    static const uint16_t heights[] = {1, 64, 100, 128, 300};
    const uint64_t height = heights[_i];
    const tensor w = {.ndim = 3, .shape = {3, 300, 500}, .type = DTYPE_F8_E4M3};
    const tensor s = {.type = DTYPE_BF16};
    const fp8_pair p = {
        .other = &s, .kind = FP8_WEIGHT, .block = {.rows = heights[_i], .cols = 64}};
    const uint64_t down = (300 + height - 1) / height;
    for (uint64_t slice = 0; slice < 3; slice++) {
        for (uint64_t row = 0; row < 300; row += 128) {
            const uint64_t rows = 300 - row < 128 ? 300 - row : 128;
            const fp8_band b = fp8_scale_band(&p, &w, slice, row, rows);
            ck_assert_uint_eq(b.across, 8);
            ck_assert_uint_eq(b.first, row / height);
            ck_assert_uint_eq(b.off, (slice * down + row / height) * 16);
            ck_assert_uint_eq(b.bytes, ((row + rows - 1) / height - row / height + 1) * 16);
        }
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("fp8_pairs");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, every_kind);
    tcase_add_test(tc, tiles_without_config);
    tcase_add_loop_test(tc, tile_of_the_config, 0, COUNT(configs));
    tcase_add_loop_test(tc, groups_without_tiles, 0, 2);
    tcase_add_loop_test(tc, other_spellings, 0, FP8_SPELLINGS);
    tcase_add_test(tc, config_overrules_shapes);
    tcase_add_loop_test(tc, tiles_that_the_config_cannot_mean, 0, COUNT(bad_configs));
    tcase_add_loop_test(tc, bands, 0, 5);
    return run_tests("fp8_pairs", tc);
}
