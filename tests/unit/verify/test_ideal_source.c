/* What the ideal file has for each kind of source: everything that convert writes is its own ideal,
 * in all dialects and forms. */
#include "tests/aid/ideal_tiles.h"

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
    tcase_add_test(tc, what_a_file_claims);
    tcase_add_test(tc, a_packed_source);
    tcase_add_test(tc, dialects_that_do_not_know_the_dtype);
    return run_tests("ideal_source", tc);
}
