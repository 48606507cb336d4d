/* The gate: parts and the ideal file, batches of sequences, an early end, coverage. What the numbers are
 * is for tests/interop/gate_check.py; here it is about what must not change them. */
#include "tests/aid/forward_case.h"

static unsigned long thin(void)
{
    const char *const text = getenv("THIN");
    return text ? strtoul(text, NULL, 10) : 1;
}

/* Under a sanitizer, where every run takes seconds: short sequences. */
static size_t short_length(void)
{
    return thin() > 1 ? 6 : 24;
}

static forward_options with_ideal(size_t sequences, size_t length)
{
    forward_options o = of_tokens(sequences, length);
    o.fp8 = true;
    o.ideal = IDEAL_COMPUTED;
    return o;
}

/* ---- the same numbers ------------------------------------------ */

#define SAME(a, b) ck_assert_msg(memcmp(&(a), &(b), sizeof(a)) == 0, "%s: %g %g", #a, a, b)

static void expect_same_parts(const forward_variant *a, const forward_variant *b)
{
    ck_assert_uint_eq(a->part_count, b->part_count);
    for (size_t i = 0; i < a->part_count; i++) {
        const part_measure *const x = &a->parts[i];
        const part_measure *const y = &b->parts[i];
        ck_assert(x->part == y->part && x->layer == y->layer && x->defined == y->defined);
        SAME(x->error, y->error);
        SAME(x->ideal_error, y->ideal_error);
        SAME(x->distance, y->distance);
        SAME(x->versus_error, y->versus_error);
    }
}

static void expect_same_logits(const logits_measure *a, const logits_measure *b, size_t count)
{
    ck_assert((a->positions == NULL) == (b->positions == NULL));
    for (size_t i = 0; a->positions && i < count; i++) {
        SAME(a->positions[i].kl, b->positions[i].kl);
        SAME(a->positions[i].choice_kl, b->positions[i].choice_kl);
        SAME(a->positions[i].packed_nll, b->positions[i].packed_nll);
        SAME(a->positions[i].mean_difference, b->positions[i].mean_difference);
    }
    for (metric m = 0; m < METRIC_COUNT && a->positions; m++) {
        if (metrics[m].scope == SCOPE_SUMMARY) {
            const double x = metric_of_summary(m, &a->summary);
            const double y = metric_of_summary(m, &b->summary);
            SAME(x, y);
        }
    }
}

/* All numbers of b that are about the sequences of a. */
static void expect_same(const forward_report *a, const forward_report *b)
{
    ck_assert(a->sequences == b->sequences && a->variant_count == b->variant_count);
    for (unsigned f = 0; f < a->variant_count; f++) {
        const forward_variant *const x = &a->variants[f];
        const forward_variant *const y = &b->variants[f];
        expect_same_parts(x, y);
        ck_assert_mem_eq(x->layers, y->layers, LAYERS * sizeof *x->layers);
        ck_assert_int_eq(x->unequal_layer, y->unequal_layer);
        for (int s = SIDE_PACKED; s < SIDES; s++) {
            expect_same_logits(&x->logits[s], &y->logits[s], a->sequences * a->length);
        }
        SAME(x->with_versus.kl.mean, y->with_versus.kl.mean);
        SAME(x->with_versus.nll.high, y->with_versus.nll.high);
    }
    ck_assert_uint_eq(a->coverage.chosen, b->coverage.chosen);
    ck_assert_uint_eq(a->coverage.unread, b->coverage.unread);
}

enum { SMALL = 64 << 10 }; /* one sequence in a batch, and a few logits in a block */

START_TEST(batches_threads_and_memory)
{
    forward_options o = with_ideal(5, short_length());
    o.versus = from_source;
    o.decode = _i == 2;
    forward_report whole = run_compare(from_source, from_packed, &o);
    o.memory = SMALL;
    o.threads = _i == 0 ? 1 : 3;
    forward_report parts = run_compare(from_source, from_packed, &o);
    expect_same(&whole, &parts);
    ck_assert_uint_gt(parts.bytes_read[SIDE_IDEAL], 4 * whole.bytes_read[SIDE_IDEAL]);
    forward_report_free(&whole);
    forward_report_free(&parts);
}
END_TEST

/* ---- the end that is asked for --------------------------------- */

static bool after_some(void *ctx)
{
    size_t *const left = ctx;
    return *left == 0 || --*left == 0;
}

static bool cancelled(void *ctx)
{
    return after_some(ctx);
}

START_TEST(an_early_end)
{
    size_t calls = 40; /* within the first or the second batch */
    const monitor m = {.cancelled = cancelled, .ctx = &calls};
    forward_options o = with_ideal(5, short_length());
    forward_report some;
    err e = {0};
    o.memory = SMALL;
    o.finish = after_some;
    o.finish_ctx = &calls;
    expect_ok(forward_compare(from_source, from_packed, &o, on_cpu, &m, &some, &e), &e);
    ck_assert(some.sequences > 0 && some.sequences < 5);
    forward_options less = with_ideal(some.sequences, short_length());
    forward_report all = run_compare(from_source, from_packed, &less);
    expect_same(&some, &all);
    forward_report_free(&some);
    forward_report_free(&all);
}
END_TEST

/* All sequences in one batch: there is nothing to report before it is done. */
START_TEST(one_batch_is_cancelled)
{
    size_t calls = 40;
    const monitor m = {.cancelled = cancelled, .ctx = &calls};
    forward_options o = with_ideal(5, short_length());
    forward_report r;
    err e = {0};
    o.finish = after_some;
    o.finish_ctx = &calls;
    expect_error(forward_compare(from_source, from_packed, &o, on_cpu, &m, &r, &e), ERR_CANCELLED,
                 &e, "interrupted");
    forward_report_free(&r);
}
END_TEST

/* ---- the ideal file -------------------------------------------- */

START_TEST(a_right_file_is_the_ideal_file)
{
    forward_options o = with_ideal(SEQUENCES, thin() > 1 ? 12 : LENGTH);
    forward_report r = run_compare(from_source, from_packed, &o);
    o.ideal = IDEAL_PACKED;
    forward_report known = run_compare(from_source, from_packed, &o);
    for (unsigned f = 0; f < r.variant_count; f++) {
        const forward_variant *const v = &r.variants[f];
        ck_assert_int_eq(v->unequal_layer, -1);
        ck_assert(paired_is_equal(&v->with_ideal) && !paired_is_worse(&v->with_ideal));
        ck_assert_uint_eq(v->part_count, 2 + 2 * LAYERS + (LAYERS - DENSE));
        for (size_t i = 0; i < v->part_count; i++) {
            const part_measure *const p = &v->parts[i];
            ck_assert(p->defined && p->distance == 0 && p->error == p->ideal_error);
            ck_assert(!part_at_fault(p));
            ck_assert((p->error > 0) == (p->part == PART_ATTENTION || p->part == PART_MLP));
        }
        expect_same_parts(v, &known.variants[f]);
    }
    forward_report_free(&r);
    forward_report_free(&known);
}
END_TEST

START_TEST(without_an_ideal_nothing_is_at_fault)
{
    forward_options o = of_tokens(SEQUENCES, short_length());
    forward_report r = run_compare(from_source, from_packed, &o);
    const forward_variant *const v = &r.variants[0];
    for (size_t i = 0; i < v->part_count; i++) {
        ck_assert(isnan(v->parts[i].ideal_error) && isnan(v->parts[i].distance));
        ck_assert(!part_at_fault(&v->parts[i]));
    }
    ck_assert_uint_eq(v->with_ideal.sequences, 0);
    forward_report_free(&r);
}
END_TEST

START_TEST(what_is_at_fault)
{
    const part_measure right = {
        .judged = true, .defined = true, .error = 2, .ideal_error = 1, .distance = 0};
    part_measure p = right;
    ck_assert(!part_at_fault(&p));
    p.distance = 1e-300;
    ck_assert(part_at_fault(&p));
    p.distance = NAN;
    ck_assert(part_at_fault(&p));
    p = (part_measure){.judged = true, .error = 1.05, .ideal_error = 1, .distance = 3};
    ck_assert(!part_at_fault(&p));
    p.error = nextafter(1.05, 2);
    ck_assert(part_at_fault(&p));
    p.error = NAN;
    ck_assert(part_at_fault(&p));
    p.judged = false;
    ck_assert(!part_at_fault(&p));
    p = (part_measure){.judged = true, .error = 0, .ideal_error = 0};
    ck_assert(!part_at_fault(&p));
    p.ideal_error = NAN;
    ck_assert(part_at_fault(&p));
}
END_TEST

START_TEST(scores_that_are_not_finite)
{
    const float source[] = {1, -INFINITY, NAN, 2};
    float out[] = {1, -INFINITY, NAN, 2};
    part_tally t = {0};
    part_add_scores(&t, SIDE_PACKED, source, out, 4);
    part_add_scores(&t, SIDE_IDEAL, source, source, 4);
    part_add_score_distance(&t, out, source, 4);
    part_measure m = part_result(&t, PART_ROUTER, 0, false);
    ck_assert(m.error == 0 && m.ideal_error == 0 && m.distance == 0 && m.defined);
    ck_assert(!part_at_fault(&m));
    out[3] = 3;
    part_add_scores(&t, SIDE_PACKED, source, out, 4);
    part_add_score_distance(&t, out, source, 4);
    m = part_result(&t, PART_ROUTER, 0, false);
    ck_assert(m.error == sqrt(1.0) / sqrt(10.0) && m.distance == m.error && part_at_fault(&m));
    for (int i = 1; i < 4; i++) {
        part_tally one = {0};
        part_add_scores(&one, SIDE_PACKED, source, (const float[]){1, 0, 0, NAN}, (size_t)i + 1);
        part_add_scores(&one, SIDE_IDEAL, source, source, (size_t)i + 1);
        part_add_score_distance(&one, (const float[]){1, 0, 0, NAN}, source, (size_t)i + 1);
        m = part_result(&one, PART_ROUTER, 0, false);
        ck_assert(isinf(m.error) && isinf(m.distance) && part_at_fault(&m));
    }
}
END_TEST

/* ---- coverage -------------------------------------------------- */

/* The experts that the dump of the source has. */
static unsigned count_experts(reference *dump, unsigned layer, size_t tokens, unsigned top_k)
{
    bool seen[64] = {false};
    uint32_t index[TOKENS * 8];
    char name[32];
    err e = {0};
    unsigned count = 0;
    snprintf(name, sizeof name, "router_index.%u", layer);
    expect_ok(reference_read_indices(dump, name, 0, tokens, top_k, index, &e), &e);
    for (size_t i = 0; i < tokens * top_k; i++) {
        count += !seen[index[i]];
        seen[index[i]] = true;
    }
    return count;
}

START_TEST(experts_that_no_token_chose)
{
    forward_options o = of_tokens(1, 3);
    forward_report r = run_compare(from_source, from_packed, &o);
    reference *const dump = dumped(from_source, &o);
    const coverage *const c = &r.coverage;
    const unsigned k = r.config.top_k;
    uint64_t chosen = 0;
    ck_assert_uint_eq(c->experts, (LAYERS - DENSE) * r.config.experts);
    for (unsigned i = DENSE; i < LAYERS; i++) {
        ck_assert_uint_eq(c->layer_chosen[i], count_experts(dump, i, 3, k));
        ck_assert_uint_ge(c->layer_chosen[i], c->layer_chosen[c->least_layer]);
        chosen += c->layer_chosen[i];
    }
    ck_assert(c->chosen == chosen && chosen < c->experts && c->least_layer >= DENSE);
    const bool second = ids[1] != ids[0];
    const bool third = ids[2] != ids[0] && ids[2] != ids[1];
    ck_assert_uint_eq(c->rows, VOCAB);
    ck_assert_uint_eq(c->rows_read, 1U + second + third);
    ck_assert(c->unread == 0 && c->first_unread == NULL);
    ck_assert(c->unread_experts % 3 == 0 && c->unread_experts <= 3 * (c->experts - chosen));
    ck_assert(c->unread_bytes > 0 && c->unread_bytes < c->bytes);
    reference_close(dump);
    forward_report_free(&r);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("forward_gate");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, forward_case_setup, forward_case_end);
    tcase_add_loop_test(t, batches_threads_and_memory, 0, thin() > 1 ? 1 : 3);
    tcase_add_test(t, an_early_end);
    tcase_add_test(t, one_batch_is_cancelled);
    tcase_add_test(t, a_right_file_is_the_ideal_file);
    tcase_add_test(t, without_an_ideal_nothing_is_at_fault);
    tcase_add_test(t, what_is_at_fault);
    tcase_add_test(t, scores_that_are_not_finite);
    tcase_add_test(t, experts_that_no_token_chose);
    return run_tests("forward_gate", t);
}
