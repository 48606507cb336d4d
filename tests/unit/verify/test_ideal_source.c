/* What the ideal file has for each kind of source: everything that convert writes is its own ideal,
 * in all dialects and forms; and codes of another tool are rounded as a search for the nearest
 * value rounds (tests/aid/oracle_e4m3.h). */
#include "tests/aid/conversion.h"
#include "tests/aid/fp8_case.h"
#include "tests/aid/ideal_case.h"

/* Dialects and forms of scales. */
enum { FORMS = 2, COMBINATIONS = (DIALECT_COUNT - DIALECT_IEEE) * FORMS };

/* Sanitizers find the same in a few of the combinations. */
static bool is_left_out(int i)
{
    return SANITIZED && i % 5 != 0;
}

static pack_dialect dialect_number(int i)
{
    return (pack_dialect)(DIALECT_IEEE + i / FORMS);
}

static scale_format form_number(int i)
{
    return (scale_format)(i % FORMS);
}

static void expect_own(unsigned threads)
{
    const ideal_case c = ideal_case_open(scratch("in"), scratch("out/p"), threads);
    ideal_case_expect_own(&c);
    ideal_case_close(&c);
}

static conversion conversion_to(pack_dialect d, scale_format scales)
{
    conversion r = conversion_with(2, PLENTY * MIB);
    r.recipe.dialect = d;
    r.recipe.scales = scales;
    r.options.force = true;
    return r;
}

/* ---- numbers --------------------------------------------------- */

static void add_numbers(made_checkpoint *c, dtype type, made_style style, uint64_t *state)
{
    static const struct {
        const char *name;
        unsigned ndim;
        uint64_t shape[3];
    } shapes[] = {{"h.0.w1", 2, {300, 260}},         {"h.0.w2", 2, {1, 1}},
                  {"h.0.w3", 2, {128, 128}},         {"h.1.experts.0.w1", 2, {130, 5}},
                  {"h.1.experts.1.w1", 2, {130, 5}}, {"h.2.experts.w1", 3, {3, 129, 140}}};
    for (int i = 0; i < COUNT(shapes); i++) {
        made_fill(made_add(c, shapes[i].name, type, shapes[i].ndim, shapes[i].shape, true), state,
                  style);
    }
    made_fill(made_add(c, "h.0.norm", type, 1, (uint64_t[]){77}, false), state, MADE_NARROW);
    made_add(c, "h.0.none", type, 2, (uint64_t[]){0, 3}, false);
}

START_TEST(plain_numbers)
{
    static const dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    uint64_t state = random_seed(_i);
    for (int i = 0; i < COUNT(types) * MADE_STYLES; i++) {
        const dtype type = types[i / MADE_STYLES];
        made_checkpoint c = {0};
        conversion r = conversion_to(dialect_number(_i), form_number(_i));
        if (is_left_out(_i) || dialect_lacks(r.recipe.dialect, type, r.recipe.scales)) {
            continue;
        }
        add_numbers(&c, type, (made_style)(i % MADE_STYLES), &state);
        made_write(&c, scratch("in"), 1);
        conversion_succeeds(&r);
        expect_own(1 + (unsigned)i % 3);
        made_free(&c);
    }
}
END_TEST

/* Many batches of source, and pieces of them, on more threads than there are processors. */
START_TEST(large_matrices)
{
    static const dtype types[] = {DTYPE_BF16, DTYPE_F32};
    uint64_t state = random_seed(_i);
    made_checkpoint c = {0};
    for (int i = 0; i < COUNT(types); i++) {
        char name[] = "h.0.w1";
        name[2] = (char)('0' + i);
        made_fill(made_add(&c, name, types[i], 2, (uint64_t[]){900, 5003}, true), &state,
                  MADE_NARROW);
    }
    made_write(&c, scratch("in"), 2);
    conversion r = conversion_to(DIALECT_IEEE, SCALES_F32);
    conversion_succeeds(&r);
    for (unsigned threads = 1; threads < 8; threads += 2) {
        expect_own(threads);
    }
    made_free(&c);
}
END_TEST

/* ---- FP8 ------------------------------------------------------- */

static const fp8_case tiles[] = {
    {"h.0.a.w1", "_scale_inv", DTYPE_F32, 2, {300, 200}, 128, 128, 0, {0}},
    {"h.0.c.w2", "_scale_inv", DTYPE_BF16, 2, {130, 700}, 128, 128, 0, {0}},
    {"h.0.e.w3", "_scale", DTYPE_F8_E8M0, 2, {1, 1}, 128, 128, 0, {0}},
    {"h.1.experts.w1", "_scale_inv", DTYPE_F16, 3, {3, 129, 257}, 128, 128, 0, {0}},
    {"h.2.experts.0.w1", "_scale_inv", DTYPE_F32, 2, {140, 300}, 128, 128, 0, {0}},
    {"h.2.experts.1.w1", "_scale_inv", DTYPE_F32, 2, {140, 300}, 128, 128, 0, {0}},
    {"h.3.experts.0.w1", "_scale", DTYPE_F8_E8M0, 2, {140, 300}, 128, 128, 0, {0}},
    {"h.3.experts.1.w1", "_scale", DTYPE_F8_E8M0, 2, {140, 300}, 128, 128, 0, {0}},
};

/* Scales of rows and of whole tensors, which may be higher than a band of tiles and than 16 bits
 * say. */
static const fp8_case bare[] = {
    {"h.0.w1", "_scale", DTYPE_F32, 2, {300, 200}, 1, 200, 1, {300}},
    {"h.1.w1", "_scale", DTYPE_BF16, 2, {700, 900}, 1, 900, 2, {700, 1}},
    {"h.2.w1", "_scale", DTYPE_F32, 2, {300, 200}, 300, 200, 1, {1}},
    {"h.2.w2", "_scale", DTYPE_F32, 2, {3, 70000}, 3, 70000, 1, {1}},
    {"h.2.w3", "_scale", DTYPE_F16, 2, {70000, 3}, 70000, 3, 1, {1}},
    {"h.2.experts.w1", "_scale", DTYPE_F32, 3, {2, 300, 200}, 1, 200, 0, {0}},
};

static void add_all(made_checkpoint *c, const fp8_case *cases, int count, uint64_t *state)
{
    for (int i = 0; i < count; i++) {
        fp8_add(c, &cases[i], state);
    }
}

/* What is quantized again is what the definition makes of code x scale in F32. */
static void expect_requantized(const fp8_case *cases, int count, uint64_t rows, uint64_t cols,
                               int combination)
{
    uint64_t state = random_seed(combination);
    conversion r = conversion_to(dialect_number(combination), form_number(combination));
    if (is_left_out(combination) || dialect_lacks(r.recipe.dialect, DTYPE_F32, r.recipe.scales)) {
        return;
    }
    made_checkpoint c = {0};
    add_all(&c, cases, count, &state);
    made_write(&c, scratch("in"), 1);
    fp8_write_config(rows, cols);
    r.recipe.requantize = true;
    conversion_succeeds(&r);
    expect_own(1 + (unsigned)combination % 3);
    made_free(&c);
}

START_TEST(rows_and_tensors)
{
    expect_requantized(bare, COUNT(bare), 0, 0, _i);
}
END_TEST

/* Blocks that divide tiles, that cross their edges, and that are higher than a slice. */
START_TEST(blocks_of_other_sizes)
{
    static const uint64_t sizes[][2] = {{64, 64}, {1, 128}, {96, 80}, {256, 256}, {1000, 7}};
    for (int i = 0; i < COUNT(sizes); i++) {
        fp8_case other[COUNT(tiles)];
        memcpy(other, tiles, sizeof tiles);
        for (int k = 0; k < COUNT(other); k++) {
            other[k].rows = sizes[i][0];
            other[k].cols = sizes[i][1];
        }
        expect_requantized(other, COUNT(other), sizes[i][0], sizes[i][1], _i);
    }
}
END_TEST

/* Carried where that is possible: with powers of two, only those that are marked as such. */
START_TEST(tiles_that_fit)
{
    expect_requantized(tiles, COUNT(tiles), 0, 0, _i);
}
END_TEST

START_TEST(what_a_rule_keeps)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    add_all(&c, tiles, COUNT(tiles), &state);
    made_fill(made_add(&c, "h.9.w1", DTYPE_BF16, 2, (uint64_t[]){7, 9}, true), &state, MADE_NARROW);
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_to(DIALECT_IEEE, SCALES_F32);
    expect_ok(recipe_add_rule(&r.recipe, "*", false, true, &r.e), &r.e);
    expect_ok(recipe_add_rule(&r.recipe, "h.9.*", true, true, &r.e), &r.e);
    conversion_succeeds(&r);
    expect_own(2);
    recipe_free(&r.recipe);
    made_free(&c);
}
END_TEST

/* ---- codes of another tool ------------------------------------- */

/* One tile of a matrix that begins at element `base`. */
static void expect_tile(const made_tensor *x, uint64_t base, const uint64_t at[2],
                        const uint64_t shape[2], const unsigned char *codes, float scale, bool pow2)
{
    float amax = 0;
    for (uint64_t k = 0; k < 128 * 128; k++) {
        const uint64_t row = at[0] + k / 128;
        const uint64_t col = at[1] + k % 128;
        if (row < shape[0] && col < shape[1]) {
            amax = fmaxf(amax, fabsf(made_value(x, base + row * shape[1] + col)));
        }
    }
    ck_assert_msg(oracle_bits(scale) == oracle_bits(oracle_scale(amax, pow2)), "%s: scale %a",
                  x->name, (double)scale);
    for (uint64_t k = 0; k < 128 * 128; k++) {
        const uint64_t row = at[0] + k / 128;
        const uint64_t col = at[1] + k % 128;
        if (row < shape[0] && col < shape[1]) {
            const float y = made_value(x, base + row * shape[1] + col) / scale;
            ck_assert_uint_eq(codes[row * shape[1] + col], oracle_encode(y));
        }
    }
}

/* A tensor of the packed file, by the numbers `x` of its source. */
static void expect_rounded(const ideal_case *c, const store_tensor *t, const made_tensor *x)
{
    const uint64_t *const shape = t->shape + t->ndim - 2;
    const uint64_t across = (shape[1] + 127) / 128;
    for (uint64_t slice = 0; slice < t->rows / shape[0]; slice++) {
        const ideal_rows r = ideal_rows_read(c, t, slice * shape[0], shape[0]);
        for (uint64_t i = 0; i < (shape[0] + 127) / 128 * across; i++) {
            const uint64_t at[2] = {i / across * 128, i % across * 128};
            expect_tile(x, slice * shape[0] * shape[1], at, shape, r.data, r.scales[i],
                        t->block.scale == SCALES_UE8M0);
        }
        ck_assert_uint_eq(r.data[r.bytes - 1], 0xa5);
        ideal_rows_free(&r);
    }
}

static void expect_all_rounded(const ideal_case *c, const made_checkpoint *numbers)
{
    unsigned found = 0;
    for (size_t i = 0; i < c->packed->count; i++) {
        const store_tensor *const t = &c->packed->tensors[i];
        if (t->quantized) {
            ck_assert(!ideal_is_claimed(c->source, t));
            expect_rounded(c, t, made_find(numbers, t->name));
            found++;
        }
    }
    ck_assert_uint_eq(found, COUNT(tiles));
}

/* Carried codes, or an FP8 checkpoint that is not packed, against numbers of any dtype: these
 * numbers have nothing to do with the codes. */
START_TEST(numbers_for_codes_of_another_tool)
{
    static const dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    uint64_t state = random_seed(_i);
    made_checkpoint c = {0};
    made_checkpoint numbers = {0};
    add_all(&c, tiles, COUNT(tiles), &state);
    for (int i = 0; i < COUNT(tiles); i++) {
        made_fill(made_add(&numbers, tiles[i].name, types[_i], tiles[i].ndim, tiles[i].shape, true),
                  &state, i % 2 ? MADE_WIDE : MADE_NARROW);
    }
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_to(DIALECT_DEEPGEMM, SCALES_F32);
    conversion_succeeds(&r);
    ck_assert_int_eq(mkdir(scratch("numbers"), 0777), 0);
    made_write(&numbers, scratch("numbers"), 1);
    const char *const files[] = {"out/p", "in"};
    for (int i = 0; i < COUNT(files); i++) {
        const ideal_case k = ideal_case_open(scratch("numbers"), scratch(files[i]), 2);
        expect_all_rounded(&k, &numbers);
        ideal_case_close(&k);
    }
    made_free(&c);
    made_free(&numbers);
}
END_TEST

/* The same against FP8 in other blocks. */
START_TEST(other_blocks_for_codes_of_another_tool)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    made_checkpoint other = {0};
    made_checkpoint numbers = {0};
    add_all(&c, tiles, COUNT(tiles), &state);
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_to(DIALECT_IEEE, SCALES_F32);
    conversion_succeeds(&r);
    for (int i = 0; i < COUNT(tiles); i++) {
        fp8_case k = tiles[i];
        k.rows = 48;
        k.cols = 500;
        fp8_add(&other, &k, &state);
        fp8_add_wide(&numbers, &other, &k);
    }
    made_write(&other, scratch("in"), 1);
    fp8_write_config(48, 500);
    const ideal_case k = ideal_case_open(scratch("in"), scratch("out/p"), 2);
    expect_all_rounded(&k, &numbers);
    ideal_case_close(&k);
    made_free(&c);
    made_free(&other);
    made_free(&numbers);
}
END_TEST

/* Two checkpoints in the same blocks: what the source has can be copied, unless scales have to be
 * powers of two and are not. */
START_TEST(codes_for_codes_of_another_tool)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    made_checkpoint other = {0};
    made_checkpoint numbers = {0};
    add_all(&c, tiles, COUNT(tiles), &state);
    for (int i = 0; i < COUNT(tiles); i++) {
        fp8_case k = tiles[i];
        k.suffix = "_scale_inv";
        k.scales = DTYPE_F32;
        fp8_add(&other, &k, &state);
        fp8_add_wide(&numbers, &other, &k);
    }
    ck_assert_int_eq(mkdir(scratch("other"), 0777), 0);
    made_write(&other, scratch("other"), 1);
    made_write(&c, scratch("in"), 1);
    const ideal_case k = ideal_case_open(scratch("other"), scratch("in"), 2);
    for (int i = 0; i < COUNT(tiles); i++) {
        const store_tensor *const t = store_find(k.packed, tiles[i].name);
        const store_tensor *const s = store_find(k.source, tiles[i].name);
        ck_assert(!ideal_is_claimed(k.source, t)); /* it is no packed file */
        if (t->block.scale == SCALES_UE8M0) {
            expect_rounded(&k, t, made_find(&numbers, t->name));
            continue;
        }
        for (uint64_t at = 0; at < t->rows; at += tiles[i].shape[tiles[i].ndim - 2]) {
            const uint64_t rows = tiles[i].shape[tiles[i].ndim - 2];
            const ideal_rows found = ideal_rows_read(&k, t, at, rows);
            const ideal_rows right = ideal_rows_new(s, rows);
            err e = {0};
            expect_ok(store_read(k.source, s, at, rows, right.data, right.scales, &e), &e);
            ck_assert_mem_eq(found.data, right.data, right.bytes);
            ck_assert_mem_eq(found.scales, right.scales, right.count);
            ideal_rows_free(&found);
            ideal_rows_free(&right);
        }
    }
    ideal_case_close(&k);
    made_free(&c);
    made_free(&other);
    made_free(&numbers);
}
END_TEST

/* Codes that were carried from a source with other scales were carried from another source. */
START_TEST(what_a_file_claims)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    made_checkpoint other = {0};
    add_all(&c, tiles, COUNT(tiles), &state);
    for (int i = 0; i < COUNT(tiles); i++) {
        fp8_case k = tiles[i];
        k.suffix = "_scale_inv";
        k.scales = DTYPE_F32;
        fp8_add(&other, &k, &state);
    }
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_to(DIALECT_IEEE, SCALES_F32);
    conversion_succeeds(&r);
    made_write(&other, scratch("in"), 1);
    const ideal_case k = ideal_case_open(scratch("in"), scratch("out/p"), 1);
    for (int i = 0; i < COUNT(tiles); i++) {
        const store_tensor *const t = store_find(k.packed, tiles[i].name);
        ck_assert_int_eq(ideal_is_claimed(k.source, t), tiles[i].scales == DTYPE_F32);
    }
    ideal_case_close(&k);
    made_free(&c);
    made_free(&other);
}
END_TEST

/* The source may be a packed file, too. */
START_TEST(a_packed_source)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    add_all(&c, tiles, COUNT(tiles), &state);
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_to(DIALECT_IEEE, SCALES_F32);
    conversion_succeeds(&r);
    const ideal_case own = ideal_case_open(scratch("out/p"), scratch("out/p"), 2);
    ideal_case_expect_own(&own);
    ideal_case_close(&own);
    ck_assert_int_eq(rename(scratch("out/p"), scratch("carried")), 0);
    r.recipe.requantize = true;
    r.recipe.scales = SCALES_UE8M0;
    conversion_succeeds(&r);
    const ideal_case k = ideal_case_open(scratch("carried"), scratch("out/p"), 2);
    ideal_case_expect_own(&k);
    ideal_case_close(&k);
    made_free(&c);
}
END_TEST

/* Of F32, nobody knows the bits of linghe with scales of any value. */
START_TEST(dialects_that_do_not_know_the_dtype)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    made_checkpoint numbers = {0};
    unsigned char codes[7 * 9];
    float scale = 0;
    err e = {0};
    made_fill(made_add(&c, "h.0.w1", DTYPE_BF16, 2, (uint64_t[]){7, 9}, true), &state, MADE_NARROW);
    made_fill(made_add(&numbers, "h.0.w1", DTYPE_F32, 2, (uint64_t[]){7, 9}, true), &state,
              MADE_NARROW);
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_to(DIALECT_LINGHE, SCALES_F32);
    conversion_succeeds(&r);
    expect_own(1);
    made_write(&numbers, scratch("in"), 1);
    const ideal_case k = ideal_case_open(scratch("in"), scratch("out/p"), 2);
    expect_error(ideal_read(k.of, &k.packed->tensors[0], 0, 7, codes, &scale, &e), ERR_INPUT, &e,
                 "tensor h.0.w1: ");
    ck_assert(!ideal_is_claimed(k.source, &k.packed->tensors[0]));
    ideal_case_close(&k);
    made_free(&c);
    made_free(&numbers);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ideal_source");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, conversion_setup, scratch_remove);
    tcase_add_loop_test(tc, plain_numbers, 0, COMBINATIONS);
    tcase_add_test(tc, large_matrices);
    tcase_add_loop_test(tc, rows_and_tensors, 0, COMBINATIONS);
    tcase_add_loop_test(tc, blocks_of_other_sizes, 0, COMBINATIONS);
    tcase_add_loop_test(tc, tiles_that_fit, 0, COMBINATIONS);
    tcase_add_test(tc, what_a_rule_keeps);
    tcase_add_loop_test(tc, numbers_for_codes_of_another_tool, 0, 3);
    tcase_add_test(tc, other_blocks_for_codes_of_another_tool);
    tcase_add_test(tc, codes_for_codes_of_another_tool);
    tcase_add_test(tc, what_a_file_claims);
    tcase_add_test(tc, a_packed_source);
    tcase_add_test(tc, dialects_that_do_not_know_the_dtype);
    return run_tests("ideal_source", tc);
}
