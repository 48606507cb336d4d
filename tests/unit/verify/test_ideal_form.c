/* Codes of another tool are measured by the rule that their scales follow: as a search for the
 * nearest value rounds (tests/aid/oracle_e4m3.h). */
#include "tests/aid/ideal_tiles.h"

/* By which rule codes of another tool are measured. */
typedef enum form { FORM_FREE, FORM_POW2, FORM_ROUNDED } form;

/* A magnitude rounded to BF16 or F16. */
static float narrowed(double x, dtype type)
{
    int exponent = 0;
    (void)frexp(x, &exponent);
    const int last = type == DTYPE_BF16 ? exponent - 8 : exponent - 11 > -24 ? exponent - 11 : -24;
    return (float)ldexp(rint(ldexp(x, -last)), last);
}

/* spec/quant.md section 2, or 7.4. */
static float right_scale(float amax, form f, dtype type)
{
    if (f != FORM_ROUNDED) {
        return oracle_scale(amax, f == FORM_POW2);
    }
    const float scale = narrowed((double)(amax * oracle_float(0x3b124925)), type);
    return scale > 0 ? scale : ldexpf(1, type == DTYPE_BF16 ? -7 : -10);
}

static uint8_t right_code(float x, float scale, form f, dtype type)
{
    const float y = x / scale;
    return oracle_encode(f == FORM_ROUNDED ? copysignf(narrowed(fabs((double)y), type), y) : y);
}

/* One tile of a matrix that begins at element `base`. */
static void expect_tile(const made_tensor *x, uint64_t base, const uint64_t at[2],
                        const uint64_t shape[2], const unsigned char *codes, float scale, form f)
{
    float amax = 0;
    for (uint64_t k = 0; k < 128 * 128; k++) {
        const uint64_t row = at[0] + k / 128;
        const uint64_t col = at[1] + k % 128;
        if (row < shape[0] && col < shape[1]) {
            amax = fmaxf(amax, fabsf(made_value(x, base + row * shape[1] + col)));
        }
    }
    ck_assert_msg(oracle_bits(scale) == oracle_bits(right_scale(amax, f, x->type)),
                  "%s: scale %a, amax %a", x->name, (double)scale, (double)amax);
    for (uint64_t k = 0; k < 128 * 128; k++) {
        const uint64_t row = at[0] + k / 128;
        const uint64_t col = at[1] + k % 128;
        if (row < shape[0] && col < shape[1]) {
            const float value = made_value(x, base + row * shape[1] + col);
            ck_assert_uint_eq(codes[row * shape[1] + col], right_code(value, scale, f, x->type));
        }
    }
}

/* A tensor of the packed file, by the numbers `x` of its source. */
static void expect_rounded(const ideal_case *c, const store_tensor *t, const made_tensor *x, form f)
{
    const uint64_t *const shape = t->shape + t->ndim - 2;
    const uint64_t across = (shape[1] + 127) / 128;
    for (uint64_t slice = 0; slice < t->rows / shape[0]; slice++) {
        const ideal_rows r = ideal_rows_read(c, t, slice * shape[0], shape[0]);
        for (uint64_t i = 0; i < (shape[0] + 127) / 128 * across; i++) {
            const uint64_t at[2] = {i / across * 128, i % across * 128};
            expect_tile(x, slice * shape[0] * shape[1], at, shape, r.data, r.scales[i], f);
        }
        ck_assert_uint_eq(r.data[r.bytes - 1], 0xa5);
        ideal_rows_free(&r);
    }
}

/* Scales in the dtype of the source have been rounded to it. */
static form form_of(const store_tensor *t, const made_checkpoint *numbers)
{
    const dtype type = made_find(numbers, t->name)->type;
    const bool rounded = type != DTYPE_F32 && t->scale_type == type;
    return t->block.scale == SCALES_UE8M0 ? FORM_POW2 : rounded ? FORM_ROUNDED : FORM_FREE;
}

static void expect_all_rounded(const ideal_case *c, const made_checkpoint *numbers)
{
    unsigned found = 0;
    for (size_t i = 0; i < c->packed->count; i++) {
        const store_tensor *const t = &c->packed->tensors[i];
        if (t->quantized) {
            ck_assert(!ideal_is_claimed(c->source, t));
            expect_rounded(c, t, made_find(numbers, t->name), form_of(t, numbers));
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

/* Stored as F32, powers of two or numbers of BF16: one other scale, in any slice, and the rule is
 * another. */
START_TEST(scales_that_follow_a_rule)
{
    static const struct {
        float scale; /* 0: none */
        bool last;
        form right;
    } others[] = {{0, false, FORM_POW2},
                  {0.75f, false, FORM_ROUNDED},
                  {0.75f, true, FORM_ROUNDED},
                  {0x1.0001p-3f, false, FORM_FREE},
                  {0x1.0001p-3f, true, FORM_FREE}};
    static const fp8_case k = {
        "h.1.experts.w1", "_scale_inv", DTYPE_F32, 3, {3, 129, 257}, 128, 128, 0, {0}};
    uint64_t state = random_seed(_i);
    made_checkpoint c = {0};
    made_checkpoint numbers = {0};
    fp8_add(&c, &k, &state);
    made_tensor *const scales = (made_tensor *)made_find(&c, "h.1.experts.w1_scale_inv");
    for (uint64_t i = 0; i < scales->elements; i++) {
        made_set_bits(scales, i, oracle_bits(ldexpf(1, (int)(i % 7) - 9)));
    }
    if (others[_i].scale > 0) {
        made_set_bits(scales, others[_i].last ? scales->elements - 1 : 0,
                      oracle_bits(others[_i].scale));
    }
    made_fill(made_add(&numbers, k.name, DTYPE_BF16, k.ndim, k.shape, true), &state, MADE_NARROW);
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_to(DIALECT_IEEE, SCALES_F32);
    conversion_succeeds(&r);
    ck_assert_int_eq(mkdir(scratch("numbers"), 0777), 0);
    made_write(&numbers, scratch("numbers"), 1);
    const char *const files[] = {"out/p", "in"};
    for (int i = 0; i < COUNT(files); i++) {
        const ideal_case d = ideal_case_open(scratch("numbers"), scratch(files[i]), 2);
        const store_tensor *const t = store_find(d.packed, k.name);
        expect_rounded(&d, t, made_find(&numbers, k.name), others[_i].right);
        ideal_case_close(&d);
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
            expect_rounded(&k, t, made_find(&numbers, t->name), FORM_POW2);
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

int main(void)
{
    TCase *const tc = tcase_create("ideal_form");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, conversion_setup, scratch_remove);
    tcase_add_loop_test(tc, numbers_for_codes_of_another_tool, 0, 3);
    tcase_add_loop_test(tc, scales_that_follow_a_rule, 0, 5);
    tcase_add_test(tc, other_blocks_for_codes_of_another_tool);
    tcase_add_test(tc, codes_for_codes_of_another_tool);
    return run_tests("ideal_form", tc);
}
