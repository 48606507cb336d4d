/* Decays against published numbers, angles against the C library's double functions. */
#include "verify/model/rope_tables.h"

#include <math.h>

#include "tests/aid/expect.h"

/* ---- decay ----------------------------------------------------- */

static float decay_of(unsigned layers, unsigned heads, slope_form form, unsigned layer, unsigned h)
{
    float decay[64];
    const model_config c = {.layers = layers, .heads = heads};
    model_decay(&c, form, layer, decay);
    return decay[h];
}

/* The trainer's numbers for Ring-mini-linear (20 layers, 16 heads) and Ring-flash-linear (32, 32).
 */
static const struct decay_case {
    unsigned layers, heads, layer, head;
    double trained, hf;
} decays[] = {
    {20, 16, 0, 0, 0.493065205, 0.475052479},  {20, 16, 0, 15, 0.996101331, 0.995896561},
    {20, 16, 18, 0, 0.963461050, 0.928263759}, {32, 32, 0, 0, 0.431320078, 0.419777481},
    {32, 32, 30, 0, 0.973230723, 0.947186005},
};

START_TEST(decays_of_the_published_models)
{
    const struct decay_case *const d = &decays[_i];
    const float trained = decay_of(d->layers, d->heads, SLOPE_TRAINED, d->layer, d->head);
    const float hf = decay_of(d->layers, d->heads, SLOPE_HF, d->layer, d->head);
    ck_assert_double_eq_tol(trained, d->trained, 0x1p-25 + 5e-10);
    ck_assert_double_eq_tol(hf, d->hf, 0x1p-25 + 5e-10);
}
END_TEST

/* Exponents of the slopes, in halves. */
START_TEST(heads_that_are_no_power_of_two)
{
    static const struct {
        unsigned heads;
        int halves[12];
    } cases[] = {{1, {16}},
                 {2, {8, 16}},
                 {3, {8, 16, 4}},
                 {6, {4, 8, 12, 16, 2, 6}},
                 {12, {2, 4, 6, 8, 10, 12, 14, 16, 1, 3, 5, 7}}};
    const double c = 1 - 2.0 / 4 + 1e-5;
    for (int i = 0; i < COUNT(cases); i++) {
        for (unsigned h = 0; h < cases[i].heads; h++) {
            const double slope = exp2(-cases[i].halves[h] / 2.0);
            ck_assert_float_eq(decay_of(5, cases[i].heads, SLOPE_TRAINED, 2, h),
                               (float)exp(-slope * c));
        }
    }
}
END_TEST

START_TEST(a_single_layer)
{
    for (unsigned h = 0; h < 4; h++) {
        const float expected = (float)exp(-exp2(-2.0 * (h + 1)) * (1 + 1e-5));
        ck_assert_float_eq(decay_of(1, 4, SLOPE_TRAINED, 0, h), expected);
        ck_assert_float_eq(decay_of(1, 4, SLOPE_HF, 0, h), expected);
    }
}
END_TEST

/* ---- rotary embedding ------------------------------------------ */

enum { POSITIONS = 300, ROTARY = 64, HALF = ROTARY / 2, STRIDE = 7 };

static float cosines[POSITIONS][HALF], sines[POSITIONS][HALF];

static model_config rope(double theta)
{
    return (model_config){.rotary_dim = ROTARY,
                          .rope_theta = theta,
                          .max_positions = 2048,
                          .yarn_attention = (double)NAN};
}

static model_config yarn(double factor, unsigned original)
{
    model_config c = rope(10000);
    c.yarn = true;
    c.yarn_factor = factor;
    c.yarn_original = original;
    c.yarn_beta_fast = 32;
    c.yarn_beta_slow = 1;
    return c;
}

static void make_rope(const model_config *c)
{
    model_rope(c, POSITIONS, cosines[0], sines[0]);
}

/* Channel pair j turns with `stretch` times its frequency without scaling. */
static void expect_wave(const model_config *c, int j, double stretch, double amplitude)
{
    const double f = pow(c->rope_theta, -2.0 * j / ROTARY) * stretch;
    const double within = amplitude > 1 ? 0x1.001p-24 : 0x1.001p-25;
    for (int p = 0; p < POSITIONS; p += STRIDE) {
        ck_assert_double_eq_tol(cosines[p][j], amplitude * cos(p * f), within);
        ck_assert_double_eq_tol(sines[p][j], amplitude * sin(p * f), within);
    }
}

START_TEST(rope_without_scaling)
{
    static const double thetas[] = {10000, 600000, 1000000};
    for (int i = 0; i < COUNT(thetas); i++) {
        const model_config c = rope(thetas[i]);
        make_rope(&c);
        for (int j = 0; j < HALF; j++) {
            expect_wave(&c, j, 1, 1);
        }
    }
}
END_TEST

/* 64 ln(4096 / (32 2 pi)) / (2 ln 10000) = 10.5, and 22.5 without the 32. */
START_TEST(yarn_stretches_slow_channels)
{
    const model_config c = yarn(4, 4096);
    const double amplitude = 0.1 * log(4) + 1;
    make_rope(&c);
    for (int j = 0; j < HALF; j++) {
        const double ramp = j <= 10 ? 0 : j >= 23 ? 1 : (j - 10) / 13.0;
        expect_wave(&c, j, ramp / 4 + 1 - ramp, amplitude);
    }
}
END_TEST

/* Both ends of the ramp at channel 0: it stays, all other pairs are stretched. */
START_TEST(yarn_with_a_ramp_of_no_width)
{
    const model_config c = yarn(8, 6);
    make_rope(&c);
    for (int j = 0; j < HALF; j++) {
        expect_wave(&c, j, j == 0 ? 1 : 1.0 / 8, 0.1 * log(8) + 1);
    }
}
END_TEST

START_TEST(yarn_amplitude)
{
    model_config c = yarn(4, 4096);
    make_rope(&c);
    ck_assert_float_eq(cosines[0][5], (float)(0.1 * log(4) + 1));
    ck_assert_float_eq(sines[0][5], 0);
    c.yarn_attention = 1.5;
    make_rope(&c);
    ck_assert_float_eq(cosines[0][HALF - 1], 1.5F);
    expect_wave(&c, 3, 1, 1.5);
    c = yarn(1, 4096);
    make_rope(&c);
    for (int j = 0; j < HALF; j++) {
        expect_wave(&c, j, 1, 1);
    }
    c = yarn(0.5, 4096);
    make_rope(&c);
    ck_assert_float_eq(cosines[0][0], 1);
}
END_TEST

START_TEST(positions_that_are_allowed)
{
    model_config c = rope(10000);
    ck_assert_uint_eq(model_max_positions(&c), 2048);
    c = yarn(4, 4096);
    ck_assert_uint_eq(model_max_positions(&c), 16384);
    c.max_positions = 32768;
    ck_assert_uint_eq(model_max_positions(&c), 32768);
    c = yarn(1.5, 2047);
    ck_assert_uint_eq(model_max_positions(&c), 3070);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("rope_tables");
    tcase_add_loop_test(t, decays_of_the_published_models, 0, COUNT(decays));
    tcase_add_test(t, heads_that_are_no_power_of_two);
    tcase_add_test(t, a_single_layer);
    tcase_add_test(t, rope_without_scaling);
    tcase_add_test(t, yarn_stretches_slow_channels);
    tcase_add_test(t, yarn_with_a_ramp_of_no_width);
    tcase_add_test(t, yarn_amplitude);
    tcase_add_test(t, positions_that_are_allowed);
    return run_tests("rope_tables", t);
}
