/* Architectures against what transformers computed of small checkpoints in float32: hidden states
 * and logits. The checkpoints are next to the source tree; missing ones are skipped. */
#include <unistd.h>

#include "tests/aid/conversion.h"
#include "tests/aid/ops_naive.h"
#include "verify/forward/forward.h"
#include "verify/ops/ops_cpu.h"

/* Bound for the difference of float32 sums in two orders; measured: below 3e-6. */
#define NEAR 2e-4

static const char *const names[] = {"llama", "llama-tied", "qwen3"};

static char source[400], golden_path[440];
static reference *golden;
static store *model;
static ops *on_cpu;
static int32_t *ids;
static size_t sequences, length;

/* False if there is no such checkpoint: then prints why the test is skipped. */
static bool open_zoo(const char *name)
{
    const char *const models = getenv("OCTAVO_MODELS");
    uint32_t *read = NULL;
    err e = {0};
    snprintf(source, sizeof source, "%s/zoo/%s", models ? models : "", name);
    snprintf(golden_path, sizeof golden_path, "%s/golden.safetensors", source);
    if (!models || access(golden_path, F_OK) != 0) {
        printf("skipped: no %s\n", golden_path);
        return false;
    }
    expect_ok(reference_open(golden_path, &golden, &e), &e);
    expect_ok(store_open(source, NULL, &model, &e), &e);
    expect_ok(reference_ids(golden, &read, &sequences, &length, &e), &e);
    expect_ok(ops_cpu_create(2, &on_cpu, &e), &e);
    ids = (int32_t *)read;
    return true;
}

static void close_zoo(void)
{
    free(ids);
    on_cpu->destroy(on_cpu);
    store_close(model);
    reference_close(golden);
}

static forward_options all_tokens(void)
{
    return (forward_options){.ids = ids,
                             .sequences = sequences,
                             .length = length,
                             .f32 = true,
                             .prefill = true,
                             .threads = 2,
                             .memory = PLENTY * MIB};
}

/* Run a model and open its dump; *config is that of the model. */
static reference *dumped(store *s, ops *by, const char *to, model_config *config)
{
    forward_options o = all_tokens();
    forward_report r;
    reference *d = NULL;
    err e = {0};
    o.dump = scratch(to);
    expect_ok(forward_single(s, &o, by, NULL, &r, &e), &e);
    *config = r.config;
    forward_report_free(&r);
    expect_ok(reference_open(scratch(to), &d, &e), &e);
    return d;
}

static double rms(const reference *a, const reference *b, const char *name, size_t cols)
{
    const size_t rows = sequences * length;
    float *const x = malloc(rows * cols * sizeof *x);
    float *const y = malloc(rows * cols * sizeof *y);
    hidden_sums sums = {0};
    err e = {0};
    ck_assert(x && y);
    expect_ok(reference_read_rows(a, name, 0, rows, cols, x, &e), &e);
    expect_ok(reference_read_rows(b, name, 0, rows, cols, y, &e), &e);
    hidden_sums_add(&sums, y, x, rows * cols);
    free(x);
    free(y);
    return hidden_relative_rms(&sums);
}

/* Compare the logits of a dump with another file, and all hidden states that the file has. */
static double largest_rms(const reference *d, const reference *of, const model_config *c)
{
    double largest = rms(d, of, "logits", c->vocab);
    unsigned states = 0;
    for (unsigned i = 0; i <= c->layers; i++) {
        char name[32];
        snprintf(name, sizeof name, "hidden.%u", i);
        if (reference_has(of, name)) {
            largest = fmax(largest, rms(d, of, name, c->hidden));
            states++;
        }
    }
    ck_assert_uint_ge(states, c->layers);
    return largest;
}

START_TEST(states_and_logits)
{
    model_config c;
    if (!open_zoo(names[_i])) {
        return;
    }
    reference *const d = dumped(model, on_cpu, "dump", &c);
    const double found = largest_rms(d, golden, &c);
    printf("%s: at most %.2g of the states and logits of transformers\n", names[_i], found);
    ck_assert_msg(found <= NEAR, "%s: %g", names[_i], found);
    reference_close(d);
    close_zoo();
}
END_TEST

/* The naive operations, which also check that every weight is loaded and unloaded once. */
START_TEST(the_same_bits_by_plain_operations)
{
    model_config c;
    if (!open_zoo(names[_i])) {
        return;
    }
    ops *const naive = ops_naive_create();
    ck_assert_ptr_nonnull(naive);
    reference *const a = dumped(model, on_cpu, "a", &c);
    reference *const b = dumped(model, naive, "b", &c);
    ck_assert_double_eq(largest_rms(a, b, &c), 0);
    naive->destroy(naive);
    reference_close(a);
    reference_close(b);
    close_zoo();
}
END_TEST

/* Source and packed model, both variants of activations, all tokens at once and one by one. */
START_TEST(source_and_packed_model)
{
    store *packed = NULL;
    forward_report r;
    err e = {0};
    if (!open_zoo(names[_i])) {
        return;
    }
    conversion c = conversion_with(2, PLENTY * MIB);
    c.options.source = source;
    conversion_succeeds(&c);
    expect_ok(store_open(scratch("out/p"), NULL, &packed, &e), &e);
    forward_options o = all_tokens();
    o.fp8 = o.decode = true;
    expect_ok(forward_compare(model, packed, &o, on_cpu, NULL, &r, &e), &e);
    ck_assert(r.modes_compared && r.unequal_layer == -1);
    ck_assert_uint_eq(r.variant_count, 2);
    for (unsigned f = 0; f < r.variant_count; f++) {
        for (unsigned i = 0; i < r.config.layers; i++) {
            const layer_measure *const m = &r.variants[f].layers[i];
            ck_assert_msg(m->local_error > 0.001 && m->local_error < 0.15, "%g", m->local_error);
            ck_assert(isnan(m->router_agreement) && isnan(m->other_slope_error));
        }
    }
    forward_report_free(&r);
    store_close(packed);
    close_zoo();
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("forward_archs");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, conversion_setup, scratch_remove);
    tcase_add_loop_test(t, states_and_logits, 0, COUNT(names));
    tcase_add_loop_test(t, the_same_bits_by_plain_operations, 0, COUNT(names));
    tcase_add_loop_test(t, source_and_packed_model, 0, COUNT(names));
    return run_tests("forward_archs", t);
}
