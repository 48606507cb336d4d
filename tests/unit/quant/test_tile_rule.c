/* quant/engine/tile_rule.h against verify/rule/code_rule.h, which was written independently: every amax
 * that a 16-bit source can have, and those of float32 where it matters; and that codes can hold
 * what comes out. SEED=N chooses the random ones. */
#include <float.h>
#include <math.h>

#include "quant/engine/tile_rule.h"
#include "format/tensor/widen.h"
#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"
#include "verify/rule/code_rule.h"

static bool is_narrow(tile_step step)
{
    return step == STEP_DIVIDE_BF16 || step == STEP_DIVIDE_F16;
}

/* The number that the program rounds to a code, and the one by definition. */
static void try_quotient(pack_dialect d, const tile_rule *r, const code_rule *c, float x)
{
    const float y = dialect_quotient(x, r->step, r->by);
    float expected, narrow;
    code_rule_divide(c, &x, 1, &expected);
    code_rule_narrow(c, &expected, 1, &narrow);
    if (oracle_bits(y) != oracle_bits(expected) ||
        oracle_bits(dialect_narrow(y, r->step)) != oracle_bits(narrow)) {
        ck_abort_msg("%s, scale %a, x %a: y %a, expected %a, as a code %a, expected %a",
                     dialect_name(d), (double)r->scale, (double)x, (double)y, (double)expected,
                     (double)dialect_narrow(y, r->step), (double)narrow);
    }
}

/* spec/quant.md section 7 says where saturation can occur. */
static void expect_no_saturation(pack_dialect d, const tile_rule *r, float amax)
{
    const float most = dialect_quotient(amax, r->step, r->by);
    if (most >= E4M3_SATURATED) {
        ck_assert_msg(d == DIALECT_TRANSFORMERS || d == DIALECT_COMPRESSED_TENSORS, "%s, amax %a",
                      dialect_name(d), (double)amax);
        ck_assert_float_lt(r->scale, is_narrow(r->step) ? 0x1p-14f : 0x1p-126f);
        ck_assert_float_lt(most, 672);
    }
}

static void try_rule(pack_dialect d, dtype source, scale_format kind, float amax)
{
    if (dialect_lacks(d, source, kind)) {
        return;
    }
    const tile_rule r = dialect_rule(d, kind, source, amax);
    const code_rule c = code_rule_of(d, source, kind, amax);
    if (oracle_bits(r.scale) != oracle_bits(c.scale)) {
        ck_abort_msg("%s %s %d, amax %a: scale %a, expected %a", dialect_name(d),
                     dtype_name(source), (int)kind, (double)amax, (double)r.scale, (double)c.scale);
    }
    expect_no_saturation(d, &r, amax);
    const float parts[] = {1, 0.9375f, 0.5078125f, 0x1p-7f, 0x1.0cp-15f, 0};
    for (int i = 0; i < COUNT(parts); i++) {
        try_quotient(d, &r, &c, amax * parts[i]);
    }
}

static void try_amax(dtype source, float amax)
{
    for (unsigned d = DIALECT_NONE; d < DIALECT_COUNT; d++) {
        try_rule((pack_dialect)d, source, SCALES_F32, amax);
        try_rule((pack_dialect)d, source, SCALES_UE8M0, amax);
    }
}

START_TEST(every_amax_of_16_bits)
{
    for (uint32_t h = 0; h < 0x7f80; h++) {
        try_amax(DTYPE_BF16, bf16_widen((uint16_t)h));
    }
    for (uint32_t h = 0; h < 0x7c00; h++) {
        try_amax(DTYPE_F16, f16_widen((uint16_t)h));
    }
}
END_TEST

/* Around 448 x 2^k, where powers of two change, with what their logarithms do not see; floors; the
 * least and the largest. */
START_TEST(float32_amax)
{
    for (int k = -149; k < 120; k++) {
        const uint32_t middle = oracle_bits(ldexpf(448, k));
        for (uint32_t bits = middle - 40; bits < middle + 40; bits++) {
            try_amax(DTYPE_F32, oracle_float(bits));
        }
    }
    const float edges[] = {1e-4f, 448e-30f, 448 / FLT_MAX, 0x1p-126f, FLT_MIN, FLT_MAX};
    for (int i = 0; i < COUNT(edges); i++) {
        const uint32_t edge = oracle_bits(edges[i]);
        for (uint32_t bits = edge - 20; bits <= edge + 20 && bits < 0x7f800000; bits++) {
            try_amax(DTYPE_F32, oracle_float(bits));
        }
    }
    for (uint32_t bits = 0; bits < 2000; bits++) {
        try_amax(DTYPE_F32, oracle_float(bits));
    }
    uint64_t state = random_seed(0);
    for (int i = 0; i < 200000; i++) {
        const float amax = oracle_float((uint32_t)(oracle_random(&state) >> 33));
        try_amax(DTYPE_F32, isfinite(amax) ? amax : 1);
    }
}
END_TEST

/* All midpoints between two numbers of the narrow type, with both neighbors. */
START_TEST(rounding_to_16_bits)
{
    const code_rule bf16 = {.narrow = DTYPE_BF16};
    const code_rule f16 = {.narrow = DTYPE_F16};
    for (uint32_t h = 0; h < 0x7780; h++) { /* F16: below 2^15 */
        const uint32_t middles[] = {
            h << 16 | 0x8000,
            oracle_bits((f16_widen((uint16_t)h) + f16_widen((uint16_t)(h + 1))) / 2)};
        for (int i = 0; i < 2; i++) {
            for (uint32_t bits = middles[i] - 1; bits <= middles[i] + 1; bits++) {
                const float x = oracle_float(bits);
                float expected;
                code_rule_narrow(i ? &f16 : &bf16, &x, 1, &expected);
                const float found = i ? round_to_f16(x) : round_to_bf16(x);
                const float negative = i ? round_to_f16(-x) : round_to_bf16(-x);
                if (oracle_bits(found) != oracle_bits(expected) ||
                    oracle_bits(negative) != oracle_bits(-expected)) {
                    ck_abort_msg("%a: %a, expected %a", (double)x, (double)found, (double)expected);
                }
            }
        }
    }
    ck_assert_uint_eq(oracle_bits(round_to_f16(-0.0f)), 0x80000000u);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("tile_rule");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_amax_of_16_bits);
    tcase_add_test(tc, float32_amax);
    tcase_add_test(tc, rounding_to_16_bits);
    return run_tests("tile_rule", tc);
}
