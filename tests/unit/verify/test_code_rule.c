/* The rules of dialects, for numbers that were worked out by hand from spec/quant.md section 7.
 * tests/unit/quant/test_tile_rule.c compares them with those of the quantizer. */
#include <float.h>
#include <math.h>

#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"
#include "verify/rule/code_rule.h"

/* The scales of four tiles: all zero; with a largest magnitude of 2^-133; of 1.75, which is a power
 * of two times 448; and of 3. */
typedef struct example {
    pack_dialect dialect;
    dtype source;
    scale_format format;
    float scales[4];
} example;

static const float amax[] = {0, 0x1p-133f, 1.75f, 3};

static const example examples[] = {
    {DIALECT_NONE, DTYPE_BF16, SCALES_F32, {1, 0x1p-126f, 0x1p-8f, 0x1.b6db6ep-8f}},
    {DIALECT_IEEE, DTYPE_BF16, SCALES_UE8M0, {1, 0x1p-126f, 0x1p-8f, 0x1p-7f}},
    {DIALECT_DEEPGEMM,
     DTYPE_BF16,
     SCALES_F32,
     {0x1.df595ap-23f, 0x1.df595ap-23f, 0x1p-8f, 0x1.b6db7p-8f}},
    {DIALECT_DEEPGEMM, DTYPE_F32, SCALES_UE8M0, {0x1p-22f, 0x1p-22f, 0x1p-8f, 0x1p-7f}},
    {DIALECT_TRANSFORMERS, DTYPE_BF16, SCALES_F32, {1, 0x1.24p-142f, 0x1p-8f, 0x1.b6db7p-8f}},
    {DIALECT_TRANSFORMERS, DTYPE_F32, SCALES_UE8M0, {1, 0x1p-126f, 0x1p-8f, 0x1p-7f}},
    {DIALECT_TRANSFORMER_ENGINE,
     DTYPE_BF16,
     SCALES_F32,
     {1, 0x1.0101p-128f, 0x1p-8f, 0x1.b6db6ep-8f}},
    {DIALECT_TRANSFORMER_ENGINE, DTYPE_F32, SCALES_F32, {1, 0x1p-128f, 0x1p-8f, 0x1.b6db6ep-8f}},
    {DIALECT_TRANSFORMER_ENGINE, DTYPE_BF16, SCALES_UE8M0, {1, 0x1p-127f, 0x1p-8f, 0x1p-7f}},
    {DIALECT_COMPRESSED_TENSORS, DTYPE_BF16, SCALES_F32, {0x1p-7f, 0x1p-7f, 0x1p-8f, 0x1.b6p-8f}},
    {DIALECT_COMPRESSED_TENSORS, DTYPE_F16, SCALES_F32, {0x1p-10f, 0x1p-10f, 0x1p-8f, 0x1.b6cp-8f}},
    {DIALECT_COMPRESSED_TENSORS,
     DTYPE_F32,
     SCALES_F32,
     {0x1p-23f, 0x1.24p-142f, 0x1p-8f, 0x1.b6db7p-8f}},
    {DIALECT_LINGHE, DTYPE_BF16, SCALES_F32, {1e-30f, 1e-30f, 0x1p-8f, 0x1.b6db7p-8f}},
    {DIALECT_LINGHE, DTYPE_F32, SCALES_UE8M0, {0x1p-99f, 0x1p-99f, 0x1p-8f, 0x1p-7f}},
};

START_TEST(scales)
{
    const example *const x = &examples[_i];
    for (int i = 0; i < COUNT(amax); i++) {
        const code_rule r = code_rule_of(x->dialect, x->source, x->format, amax[i]);
        ck_assert_msg(r.scale == x->scales[i], "%s, amax %a: %a, expected %a",
                      dialect_name(x->dialect), (double)amax[i], (double)r.scale,
                      (double)x->scales[i]);
    }
}
END_TEST

/* If amax is up to three units in the last place above 448 * 2^-15, the logarithm of the scale as a
 * float is still -15. Dialects that look at the bits round up from the first unit on. */
START_TEST(logarithms_are_rounded)
{
    const uint32_t power = oracle_bits(448 * 0x1p-15f);
    const struct {
        uint32_t steps; /* of amax */
        float log, bits;
    } cases[] = {{0, 0x1p-15f, 0x1p-15f},
                 {1, 0x1p-15f, 0x1p-14f},
                 {3, 0x1p-15f, 0x1p-14f},
                 {4, 0x1p-14f, 0x1p-14f}};
    for (int i = 0; i < COUNT(cases); i++) {
        const float a = oracle_float(power + cases[i].steps);
        ck_assert_float_eq(code_rule_of(DIALECT_TRANSFORMERS, DTYPE_F32, SCALES_UE8M0, a).scale,
                           cases[i].log);
        ck_assert_float_eq(code_rule_of(DIALECT_LINGHE, DTYPE_F32, SCALES_UE8M0, a).scale,
                           cases[i].log);
        ck_assert_float_eq(code_rule_of(DIALECT_DEEPGEMM, DTYPE_F32, SCALES_UE8M0, a).scale,
                           cases[i].bits);
    }
}
END_TEST

START_TEST(factors)
{
    const code_rule deepgemm = code_rule_of(DIALECT_DEEPGEMM, DTYPE_BF16, SCALES_F32, 3);
    ck_assert_float_eq(deepgemm.factor, 0x1.2aaaaap+7f);
    const code_rule engine =
        code_rule_of(DIALECT_TRANSFORMER_ENGINE, DTYPE_BF16, SCALES_F32, 0x1p-133f);
    ck_assert_float_eq(engine.factor, 0x1.fep127f);
    const code_rule transformers = code_rule_of(DIALECT_TRANSFORMERS, DTYPE_BF16, SCALES_F32, 3);
    ck_assert_float_eq(transformers.factor, 0);
}
END_TEST

/* 448.88 is between 448 and 450, which are neighbors in BF16. */
START_TEST(quotients_are_narrowed)
{
    const code_rule r = code_rule_of(DIALECT_COMPRESSED_TENSORS, DTYPE_BF16, SCALES_F32, 3);
    const float x[] = {3, -3, 0, 0x1p-9f};
    float y[4], narrow[4];
    code_rule_divide(&r, x, 4, y);
    code_rule_narrow(&r, y, 4, narrow);
    ck_assert_float_eq(y[0], 3 / 0x1.b6p-8f);
    ck_assert_float_eq(y[1], y[0]);
    ck_assert_float_eq(narrow[0], 448);
    ck_assert_float_eq(narrow[2], 0);
    ck_assert_float_eq(narrow[3], 0x1.2cp-2f);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("code_rule");
    tcase_add_loop_test(tc, scales, 0, COUNT(examples));
    tcase_add_test(tc, logarithms_are_rounded);
    tcase_add_test(tc, factors);
    tcase_add_test(tc, quotients_are_narrowed);
    return run_tests("code_rule", tc);
}
