/* What ends a forward pass, and that it leaves nothing behind. */
#include "tests/aid/config_case.h"
#include "tests/aid/forward_case.h"

static void single_fails(const forward_options *o, const monitor *m, err_code code,
                         const char *part)
{
    forward_report r;
    err e = {0};
    expect_error(forward_single(from_source, o, on_cpu, m, &r, &e), code, &e, part);
    forward_report_free(&r);
}

static void compare_fails(store *a, store *b, const forward_options *o, err_code code,
                          const char *part)
{
    forward_report r;
    err e = {0};
    expect_error(forward_compare(a, b, o, on_cpu, NULL, &r, &e), code, &e, part);
    forward_report_free(&r);
}

START_TEST(sequences_that_are_too_long)
{
    static const int32_t many[2049];
    forward_options o = of_tokens(1, 1);
    o.ids = many;
    o.length = COUNT(many);
    o.dump = scratch("out/dump");
    single_fails(&o, NULL, ERR_INPUT, "sequences of 2049 tokens, the configuration allows 2048");
    compare_fails(from_source, from_packed, &o, ERR_INPUT, "sequences of 2049 tokens");
    ck_assert_int_eq(conversion_entries("out"), 1); /* the packed file */
}
END_TEST

START_TEST(memory_for_less_than_a_token)
{
    forward_options o = of_tokens(1, 4);
    o.dump = scratch("out/dump");
    o.memory = 2 * VOCAB * sizeof(float) - 1;
    single_fails(&o, NULL, ERR_MEMORY, "logits of one token take 4096 bytes, --memory allows 4095");
    o.memory = 8 * VOCAB * sizeof(float) - 1; /* of the source, and of three tracks */
    compare_fails(from_source, from_packed, &o, ERR_MEMORY,
                  "take 16384 bytes, --memory allows 16383");
    o.fp8 = true; /* variants take turns */
    compare_fails(from_source, from_packed, &o, ERR_MEMORY, "take 16384 bytes");
    o.ideal = IDEAL_COMPUTED;
    compare_fails(from_source, from_packed, &o, ERR_MEMORY, "take 20480 bytes");
    ck_assert_int_eq(conversion_entries("out"), 1);
}
END_TEST

START_TEST(a_dump_that_exists)
{
    forward_options o = of_tokens(1, 4);
    o.dump = scratch("out/dump");
    scratch_text("out/dump", "kept");
    single_fails(&o, NULL, ERR_IO, "out/dump");
    compare_fails(from_source, from_packed, &o, ERR_IO, "out/dump");
    const image kept = read_image(scratch("out/dump"));
    ck_assert(kept.count == 4 && memcmp(kept.bytes, "kept", 4) == 0);
    free(kept.bytes);
    ck_assert_int_eq(conversion_entries("out"), 2);
    o.force = true;
    forward_report r = run_single(from_source, &o);
    forward_report_free(&r);
    reference_close(open_reference(scratch("out/dump")));
}
END_TEST

static bool stop(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(interrupted)
{
    static const monitor stopping = {.cancelled = stop};
    forward_options o = of_tokens(1, 4);
    o.dump = scratch("out/dump");
    single_fails(&o, &stopping, ERR_CANCELLED, "interrupted");
    ck_assert_int_eq(conversion_entries("out"), 1);
}
END_TEST

/* The source's tensors with another configuration. */
static store *source_with(const char *patch)
{
    static const char *const others[] = {"model-00001-of-00002.safetensors",
                                         "model-00002-of-00002.safetensors",
                                         "model.safetensors.index.json"};
    char to[128];
    for (int i = 0; i < COUNT(others); i++) {
        char from[128];
        snprintf(from, sizeof from, "ring-micro-linear/%s", others[i]);
        snprintf(to, sizeof to, "in/%s", others[i]);
        ck_assert_int_eq(symlink(test_data(from), scratch(to)), 0);
    }
    char *config = NULL;
    size_t bytes = 0;
    err e = {0};
    expect_ok(store_file(from_source, "config.json", &config, &bytes, &e), &e);
    char *const other = patched(config, patch);
    scratch_text("in/config.json", other);
    free(config);
    free(other);
    return open_model(scratch("in"));
}

START_TEST(models_of_different_shapes)
{
    const forward_options o = of_tokens(1, 4);
    store *const other = source_with("{\"num_experts_per_tok\":3}");
    compare_fails(from_source, other, &o, ERR_DIFFERENT, "models of different shapes");
    compare_fails(other, from_packed, &o, ERR_DIFFERENT, "models of different shapes");
    store_close(other);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("forward_errors");
    tcase_add_checked_fixture(t, forward_case_setup, forward_case_end);
    tcase_add_test(t, sequences_that_are_too_long);
    tcase_add_test(t, memory_for_less_than_a_token);
    tcase_add_test(t, a_dump_that_exists);
    tcase_add_test(t, interrupted);
    tcase_add_test(t, models_of_different_shapes);
    return run_tests("forward_errors", t);
}
