/* What must not change a bit of a forward pass: threads, memory, batches, modes, implementations.
 * Also a model against itself.
 *
 * THIN above 1, as in the other long tests: fewer tokens. */
#include "tests/aid/forward_case.h"
#include "tests/aid/ops_naive.h"

static size_t some_length(void)
{
    const char *const text = getenv("THIN");
    return text && strtoul(text, NULL, 10) > 1 ? 12 : LENGTH;
}

/* ---- a model against itself ------------------------------------ */

static void expect_nothing(const forward_variant *f)
{
    const position_summary *const s = &f->logits[SIDE_PACKED].summary;
    ck_assert(s->kl_mean == 0 && s->kl_max == 0 && s->kl_p999 == 0);
    ck_assert(s->logit_max_difference == 0 && s->logit_mean_difference == 0);
    ck_assert(s->top1 == 1 && s->top5 == 1 && s->perplexity_ratio == 1);
    for (int i = 0; i < LAYERS; i++) {
        const layer_measure *const m = &f->layers[i];
        ck_assert(m->local_error == 0 && m->hidden_rms == 0 && m->hidden_cosine == 1);
        ck_assert(i < DENSE ? isnan(m->router_agreement) : m->router_agreement == 1);
    }
}

/* Without quantized weights, FP8 activations are not used. */
START_TEST(the_source_against_itself)
{
    forward_options o = of_tokens(SEQUENCES, some_length());
    o.fp8 = true;
    forward_report r = run_compare(from_source, from_source, &o);
    ck_assert_uint_eq(r.variant_count, 2);
    ck_assert(!r.variants[0].fp8 && r.variants[1].fp8);
    expect_nothing(&r.variants[0]);
    expect_nothing(&r.variants[1]);
    forward_report_free(&r);
}
END_TEST

START_TEST(the_packed_model_against_itself)
{
    forward_options o = of_tokens(SEQUENCES, some_length());
    o.fp8 = true;
    forward_report r = run_compare(from_packed, from_packed, &o);
    expect_nothing(&r.variants[0]);
    ck_assert(r.variants[1].logits[SIDE_PACKED].summary.kl_mean > 0 &&
              r.variants[1].layers[0].local_error > 0.001);
    forward_report_free(&r);
}
END_TEST

/* ---- the same bits --------------------------------------------- */

/* The dump of a forward pass by another implementation of the operations. */
static image dump_by(ops *by, store *model, forward_options o)
{
    forward_report r;
    err e = {0};
    o.dump = scratch("image");
    o.force = true;
    expect_ok(forward_single(model, &o, by, NULL, &r, &e), &e);
    forward_report_free(&r);
    return read_image(scratch("image"));
}

static void expect_same_image(image a, image b, const char *what)
{
    ck_assert_uint_eq(a.count, b.count);
    ck_assert_msg(memcmp(a.bytes, b.bytes, a.count) == 0, "%s", what);
    free(b.bytes);
}

static void expect_same_bits(store *model, forward_options o)
{
    static const unsigned threads[] = {1, 2, 8};
    const uint64_t one_token = 2 * VOCAB * sizeof(float);
    const image first = dump_by(on_cpu, model, o);
    for (int i = 0; i < COUNT(threads); i++) {
        ops *const by = create_cpu(threads[i]);
        o.threads = threads[i];
        expect_same_image(first, dump_by(by, model, o), "threads");
        by->destroy(by);
    }
    o.memory = one_token;
    expect_same_image(first, dump_by(on_cpu, model, o), "one token at a time");
    o.memory = 8 * one_token - 1;
    expect_same_image(first, dump_by(on_cpu, model, o), "seven tokens at a time");
    o.prefill = false;
    o.decode = true;
    expect_same_image(first, dump_by(on_cpu, model, o), "decode");
    o.prefill = true;
    expect_same_image(first, dump_by(on_cpu, model, o), "both modes");
    free(first.bytes);
}

START_TEST(same_bits_of_the_source)
{
    expect_same_bits(from_source, of_tokens(SEQUENCES, some_length()));
}
END_TEST

START_TEST(same_bits_of_the_packed_model)
{
    forward_options o = of_tokens(SEQUENCES, some_length());
    expect_same_bits(from_packed, o);
    o.f32 = false;
    o.fp8 = true;
    expect_same_bits(from_packed, o);
}
END_TEST

START_TEST(same_bits_beside_a_source)
{
    forward_options o = of_tokens(SEQUENCES, some_length());
    const image alone = dump_by(on_cpu, from_packed, o);
    o.fp8 = true; /* the dump is of the first variant */
    o.dump = scratch("beside");
    forward_report r = run_compare(from_source, from_packed, &o);
    forward_report_free(&r);
    expect_same_image(alone, read_image(scratch("beside")), "beside");
    free(alone.bytes);
}
END_TEST

START_TEST(same_bits_of_plain_loops)
{
    forward_options o = of_tokens(1, 12);
    store *const models[] = {from_source, from_packed, from_packed};
    ops *const naive = ops_naive_create();
    ck_assert_ptr_nonnull(naive);
    for (int i = 0; i < COUNT(models); i++) {
        o.fp8 = i == 2;
        o.f32 = !o.fp8;
        const image cpu = dump_by(on_cpu, models[i], o);
        expect_same_image(cpu, dump_by(naive, models[i], o), "plain loops");
        free(cpu.bytes);
    }
    naive->destroy(naive);
}
END_TEST

/* Rows of the second of two sequences, and of that sequence alone. */
static void expect_same_rows(const reference *both, const reference *alone, const char *name,
                             size_t cols)
{
    const size_t length = some_length();
    float *const x = read_tensor(both, name, length, length, cols);
    float *const y = read_tensor(alone, name, 0, length, cols);
    ck_assert_msg(memcmp(x, y, length * cols * sizeof *x) == 0, "%s", name);
    free(x);
    free(y);
}

START_TEST(a_sequence_alone_and_with_another)
{
    const forward_options two = of_tokens(2, some_length());
    forward_options one = two;
    one.sequences = 1;
    one.ids += one.length;
    reference *const both = dumped(from_packed, &two);
    reference *const alone = dumped(from_packed, &one);
    static const char *const states[] = {"hidden.0", "hidden.1", "hidden.2",
                                         "hidden.3", "hidden.4", "hidden.5"};
    static const char *const shares[] = {"router_weight.1", "router_weight.2", "router_weight.3",
                                         "router_weight.4"};
    for (int i = 0; i < COUNT(states); i++) {
        expect_same_rows(both, alone, states[i], HIDDEN);
    }
    for (int i = 0; i < COUNT(shares); i++) {
        expect_same_rows(both, alone, shares[i], 2);
    }
    expect_same_rows(both, alone, "logits", VOCAB);
    reference_close(both);
    reference_close(alone);
}
END_TEST

START_TEST(modes_are_compared)
{
    forward_options o = of_tokens(SEQUENCES, some_length());
    o.fp8 = o.decode = true;
    forward_report r = run_compare(from_source, from_packed, &o);
    ck_assert(r.modes_compared && r.variant_count == 2);
    ck_assert_int_eq(r.unequal_layer, -1);
    forward_report_free(&r);
    r = run_single(from_packed, &o);
    ck_assert(r.modes_compared && !r.has_reference);
    ck_assert_int_eq(r.unequal_layer, -1);
    forward_report_free(&r);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("forward");
    tcase_add_checked_fixture(t, forward_case_setup, forward_case_end);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, the_source_against_itself);
    tcase_add_test(t, the_packed_model_against_itself);
    tcase_add_test(t, same_bits_of_the_source);
    tcase_add_test(t, same_bits_of_the_packed_model);
    tcase_add_test(t, same_bits_beside_a_source);
    tcase_add_test(t, same_bits_of_plain_loops);
    tcase_add_test(t, a_sequence_alone_and_with_another);
    tcase_add_test(t, modes_are_compared);
    return run_tests("forward", t);
}
