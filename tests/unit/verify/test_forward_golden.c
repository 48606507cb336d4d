/* The forward pass against what Python, which shares no code with it, computed of the example
 * (float32, sums in other orders): the source, and the packed model's decoded weights. */
#include "tests/aid/forward_case.h"

typedef struct tensor_name {
    char s[32];
} tensor_name;

static tensor_name numbered(const char *what, unsigned number)
{
    tensor_name n;
    snprintf(n.s, sizeof n.s, "%s.%u", what, number);
    return n;
}

static forward_options all_tokens(slope_form form)
{
    forward_options o = of_tokens(SEQUENCES, LENGTH);
    o.slopes[0] = o.slopes[1] = form;
    return o;
}

/* ---- the source ------------------------------------------------ */

START_TEST(layers_of_the_source)
{
    forward_options o = all_tokens(SLOPE_TRAINED);
    o.reference = golden;
    forward_report r = run_single(from_source, &o);
    ck_assert(r.has_reference && r.has_states);
    ck_assert_uint_eq(r.variant_count, 1);
    ck_assert_double_eq(r.embedding_rms, 0);
    for (int i = 0; i < LAYERS; i++) {
        const layer_measure *const m = &r.variants[0].layers[i];
        ck_assert_double_le(m->hidden_rms, NEAR);
        ck_assert_double_ge(m->hidden_cosine, 1 - NEAR);
        ck_assert_double_le(m->local_error, NEAR);
        ck_assert(i < DENSE ? isnan(m->router_agreement) : m->router_agreement == 1);
        ck_assert(i == SOFTMAX ? isnan(m->other_slope_error) : m->other_slope_error > 0.01);
    }
    ck_assert_double_le(r.variants[0].logits[SIDE_PACKED].summary.kl_max, 1e-8);
    ck_assert_double_eq(r.variants[0].logits[SIDE_PACKED].summary.top1, 1);
    forward_report_free(&r);
}
END_TEST

/* The reference's states are of the trained slope form, which shows in each layer alone. */
START_TEST(layers_of_the_other_form)
{
    forward_options o = all_tokens(SLOPE_HF);
    o.reference = golden;
    forward_report r = run_single(from_source, &o);
    for (int i = 0; i < LAYERS; i++) {
        const layer_measure *const m = &r.variants[0].layers[i];
        ck_assert(i == SOFTMAX ? m->local_error <= NEAR : m->local_error > 0.01);
        ck_assert(i == SOFTMAX ? isnan(m->other_slope_error) : m->other_slope_error <= NEAR);
    }
    ck_assert_double_le(r.variants[0].logits[SIDE_PACKED].summary.kl_max,
                        1e-8); /* logits of the requested form */
    forward_report_free(&r);
}
END_TEST

/* Compare sets in any order. */
static void expect_same_experts(const reference *a, const reference *b, unsigned layer)
{
    uint32_t x[TOKENS][2];
    uint32_t y[TOKENS][2];
    err e = {0};
    const tensor_name n = numbered("router_index", layer);
    expect_ok(reference_read_indices(a, n.s, 0, TOKENS, 2, x[0], &e), &e);
    expect_ok(reference_read_indices(b, n.s, 0, TOKENS, 2, y[0], &e), &e);
    for (int i = 0; i < TOKENS; i++) {
        const bool same = (x[i][0] == y[i][0] && x[i][1] == y[i][1]) ||
                          (x[i][0] == y[i][1] && x[i][1] == y[i][0]);
        ck_assert_msg(same, "layer %u, token %d: %u %u, %u %u", layer, i, x[i][0], x[i][1], y[i][0],
                      y[i][1]);
        ck_assert_uint_lt(x[i][0], x[i][1]);
    }
}

START_TEST(dump_of_the_source)
{
    const forward_options o = all_tokens(SLOPE_TRAINED);
    reference *const d = dumped(from_source, &o);
    for (unsigned i = 0; i <= LAYERS; i++) {
        const tensor_name n = numbered("hidden", i);
        expect_near(d, n.s, golden, n.s, HIDDEN);
    }
    for (unsigned i = DENSE; i < LAYERS; i++) {
        expect_same_experts(d, golden, i);
    }
    expect_near(d, "logits", golden, "logits.engine", VOCAB);
    reference_close(d);
}
END_TEST

START_TEST(logits_of_the_other_form)
{
    const forward_options o = all_tokens(SLOPE_HF);
    reference *const source = dumped(from_source, &o);
    expect_near(source, "logits", golden, "logits.hf", VOCAB);
    ck_assert_double_gt(tensors_rms(source, "logits", golden, "logits.engine", VOCAB), 0.01);
    reference_close(source);
    reference *const packed = dumped(from_packed, &o);
    expect_near(packed, "logits", golden, "logits_w8.hf", VOCAB);
    reference_close(packed);
}
END_TEST

/* ---- the packed model ------------------------------------------ */

START_TEST(dump_of_the_packed_model)
{
    const forward_options o = all_tokens(SLOPE_TRAINED);
    reference *const d = dumped(from_packed, &o);
    for (unsigned i = 0; i <= LAYERS; i++) {
        const tensor_name ours = numbered("hidden", i);
        const tensor_name theirs = numbered("hidden_w8", i);
        expect_near(d, ours.s, golden_w8, theirs.s, HIDDEN);
    }
    expect_near(d, "logits", golden, "logits_w8.engine", VOCAB);
    reference_close(d);
}
END_TEST

/* ---- both ------------------------------------------------------ */

static void measure_pair(const float *source, const float *packed, size_t vocab, int64_t target,
                         position_measure *out)
{
    const softmax_kernel *const k = &softmax_kernel_baseline;
    const measure_row a = measure_prepare(k, source, vocab);
    const measure_row b = measure_prepare(k, packed, vocab);
    measure_position(k, &a, &b, target, out);
}

/* The measures of the logits that Python computed. */
static position_summary golden_summary(void)
{
    static position_measure positions[TOKENS];
    position_summary s;
    err e = {0};
    float *const x = read_tensor(golden, "logits.engine", 0, TOKENS, VOCAB);
    float *const y = read_tensor(golden, "logits_w8.engine", 0, TOKENS, VOCAB);
    for (size_t i = 0; i < TOKENS; i++) {
        const bool last = i % LENGTH + 1 == LENGTH;
        measure_pair(x + i * VOCAB, y + i * VOCAB, VOCAB, last ? -1 : ids[i + 1], &positions[i]);
    }
    free(x);
    free(y);
    expect_ok(measure_summarize(positions, SEQUENCES, LENGTH, NULL, &s, &e), &e);
    return s;
}

START_TEST(source_and_packed_model)
{
    const forward_options o = all_tokens(SLOPE_TRAINED);
    forward_report r = run_compare(from_source, from_packed, &o);
    const position_summary *const s = &r.variants[0].logits[SIDE_PACKED].summary;
    const position_summary python = golden_summary();
    ck_assert_double_eq_tol(s->kl_mean, 0.0169, 0.00005);
    ck_assert_double_eq_tol(s->top1, 0.9635, 0.00005);
    ck_assert_double_eq_tol(s->kl_mean, python.kl_mean, 1e-5);
    ck_assert_double_eq_tol(s->kl_max, python.kl_max, 1e-4);
    ck_assert_double_eq(s->top1, python.top1);
    ck_assert_double_eq_tol(s->perplexity_ratio, python.perplexity_ratio, 1e-4);
    ck_assert_uint_eq(s->compared, TOKENS);
    ck_assert_uint_eq(s->scored, TOKENS - SEQUENCES);
    for (int i = 0; i < LAYERS; i++) {
        const layer_measure *const m = &r.variants[0].layers[i];
        ck_assert(m->local_error > 0.001 && m->local_error < 0.045);
        ck_assert(m->hidden_rms > 0.001 && m->hidden_rms < 0.2);
        ck_assert(isnan(m->other_slope_error));
    }
    ck_assert(!r.has_reference && !r.modes_compared);
    ck_assert_uint_gt(r.bytes_read[0], r.bytes_read[1]);
    ck_assert_uint_gt(r.bytes_read[1], 0);
    forward_report_free(&r);
}
END_TEST

/* A packed model run with the other slope form is wrong in the attention of every linear layer, and
 * only there. */
START_TEST(a_wrong_decay)
{
    forward_options o = all_tokens(SLOPE_TRAINED);
    o.slopes[1] = SLOPE_HF;
    o.ideal = IDEAL_COMPUTED;
    forward_report r = run_compare(from_source, from_packed, &o);
    for (size_t i = 0; i < r.variants[0].part_count; i++) {
        const part_measure *const p = &r.variants[0].parts[i];
        const bool wrong = p->part == PART_ATTENTION && p->layer != SOFTMAX;
        ck_assert_msg(part_at_fault(p) == wrong, "layer %lld: %s: %g", (long long)p->layer,
                      part_names[p->part], p->distance);
        ck_assert(p->defined && (p->distance > 0) == wrong && (!wrong || p->error > 0.05));
    }
    forward_report_free(&r);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("forward_golden");
    tcase_add_checked_fixture(t, forward_case_setup, forward_case_end);
    tcase_add_test(t, layers_of_the_source);
    tcase_add_test(t, layers_of_the_other_form);
    tcase_add_test(t, dump_of_the_source);
    tcase_add_test(t, logits_of_the_other_form);
    tcase_add_test(t, dump_of_the_packed_model);
    tcase_add_test(t, source_and_packed_model);
    tcase_add_test(t, a_wrong_decay);
    return run_tests("forward_golden", t);
}
