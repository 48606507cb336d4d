/* Every allocation of a check fails in turn: ERR_MEMORY, or the usual end, never a verdict. */
#include "tests/aid/scarce.h"

#include <fcntl.h>

#include "tests/aid/config_case.h"
#include "tests/aid/forward_case.h"
#include "tests/aid/small_pack.h"
#include "tests/aid/tokenizer_case.h"
#include "verify/diff/diff.h"
#include "verify/forward/limits.h"
#include "verify/weights/weights.h"

/* Hundreds of times a busy disk would take minutes; what is durable is not asked here. */
int fsync(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

/* ---- texts ----------------------------------------------------- */

static err_code encode_text(const tokenizer *t, err *e)
{
    static const char text[] = "ab  cd<a> \xc3\xa9\xcc\x81 abcd 123\n";
    token_list ids_found = {0};
    const err_code code = tokenizer_encode(t, text, strlen(text), NULL, &ids_found, e);
    token_list_free(&ids_found);
    return code;
}

static err_code make_and_encode(void *text, err *e)
{
    tokenizer *t = NULL;
    const err_code made = tokenizer_create("t.json", text, strlen(text), NULL, &t, e);
    const err_code code = made == OK ? encode_text(t, e) : made;
    tokenizer_free(t);
    return code;
}

START_TEST(tokenizers)
{
    static const char *const splits[] = {
        SEQUENCE(SPLIT_AS("Regex", "\\\\s+|[^\\\\s\\\\p{N}]+|[a-c&&[^b]]", "Isolated", "false")),
        SEQUENCE(SPLIT_AS("Regex", "(?i:'s|'t)|\\\\p{Han}|[^\\\\r\\\\n]", "Removed", "true")),
        SEQUENCE(SPLIT_AS("String", " ", "MergedWithPrevious", "false")),
    };
    static const char head[] =
        "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"_\"},"
        "{\"type\":\"Prepend\",\"prepend\":\"_\"}]},"
        "\"added_tokens\":[" ADDED(263, "<a>", PLAIN) "," ADDED(264, "<b>",
                                                                FLAGS(true, true, true, true)) "],";
    char *const text = made_json(_i ? "" : head, splits[_i], "", MERGES);
    expect_scarce(make_and_encode, text);
    free(text);
}
END_TEST

static err_code make_refused(void *text, err *e)
{
    tokenizer *t = NULL;
    const err_code code = tokenizer_create("t.json", text, strlen(text), NULL, &t, e);
    tokenizer_free(t);
    return code;
}

/* A message has the value that is refused, or there is no message about it. */
START_TEST(refusals)
{
    static const char *const texts[] = {
        "{\"model\":{\"type\":\"BPE\",\"dropout\":0.5}}",
        "{\"model\":{\"type\":[1,\"two\"]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"b\"},\"merges\":[]}}",
    };
    err e = {0};
    ck_assert_int_eq(make_refused((void *)texts[_i], &e), ERR_INPUT);
    expect_scarce(make_refused, (void *)texts[_i]);
}
END_TEST

/* ---- small files ----------------------------------------------- */

static err_code read_limits(void *path, err *e)
{
    limits l = {0};
    return limits_read(path, &l, e);
}

static err_code open_and_read_ids(void *path, err *e)
{
    reference *r = NULL;
    uint32_t *found = NULL;
    size_t sequences = 0, length = 0;
    err_code code = reference_open(path, &r, e);
    if (code == OK) {
        code = reference_ids(r, &found, &sequences, &length, e);
    }
    free(found);
    reference_close(r);
    return code;
}

START_TEST(small_files)
{
    scratch_make();
    static const char bounds[] = "{\"octavo_limits\": 1, \"fp8\": {\"kl_max\": 2}}";
    scratch_write("limits", bounds, strlen(bounds));
    expect_scarce(read_limits, (void *)scratch("limits"));
    expect_scarce(open_and_read_ids,
                  (void *)test_data("golden/ring-micro-linear/golden.safetensors"));
    scratch_remove();
}
END_TEST

static err_code read_config(void *text, err *e)
{
    model_config c = {0};
    return model_config_parse("config.json", text, strlen(text), model_archs, NULL, &c, e);
}

/* Also what jansson allocates: a value that cannot be shown is not a wrong one. */
START_TEST(configurations)
{
    static const char *const texts[] = {linear_text, softmax_text, llama_text, qwen3_text};
    expect_scarce(read_config, (void *)texts[_i]);
}
END_TEST

/* ---- models ---------------------------------------------------- */

static err_code compare_models(void *ctx, err *e)
{
    forward_report r = {0};
    const err_code code = forward_compare(from_source, from_packed, ctx, on_cpu, NULL, &r, e);
    forward_report_free(&r);
    return code;
}

static err_code run_model(void *ctx, err *e)
{
    forward_report r = {0};
    const err_code code = forward_single(from_packed, ctx, on_cpu, NULL, &r, e);
    forward_report_free(&r);
    return code;
}

START_TEST(forward_passes)
{
    forward_options o = of_tokens(1, 3);
    o.threads = 1;
    expect_scarce(compare_models, &o);
    o.dump = scratch("dump");
    o.force = true;
    expect_scarce(run_model, &o);
}
END_TEST

static const char *source_path, *packed_path;

static err_code diff_models(void *ctx, err *e)
{
    const diff_options *const o = ctx;
    diff_report found = {0};
    store *a = NULL, *b = NULL;
    err_code code = store_open(source_path, NULL, &a, e);
    if (code == OK) {
        code = store_open(packed_path, NULL, &b, e);
    }
    if (code == OK) {
        code = diff_run(a, b, o, NULL, &found, e);
    }
    diff_report_free(&found);
    store_close(a);
    store_close(b);
    return code;
}

START_TEST(differences)
{
    diff_options o = {.threads = 1, .memory = 64 * MIB};
    scarce_leave_jansson();
    source_path = test_data("ring-micro-linear");
    packed_path = scratch("out/p");
    expect_scarce(diff_models, &o);
}
END_TEST

/* Two files of the same values in different spellings are called that, or there is no memory. */
static err_code diff_spellings(void *ctx, err *e)
{
    diff_report found = {0};
    store *a = NULL, *b = NULL;
    err_code code = OK;
    TRY_OUT(store_open(source_path, NULL, &a, e));
    TRY_OUT(store_open(packed_path, NULL, &b, e));
    TRY_OUT(diff_run(a, b, ctx, NULL, &found, e));
    TRY_OUT(found.files.count == 1 && strstr(found.files.items[0], "same values")
                ? OK
                : err_set(e, ERR_INTERNAL, "%s",
                          found.files.count ? found.files.items[0] : "no difference"));
out:
    diff_report_free(&found);
    store_close(a);
    store_close(b);
    return code;
}

START_TEST(spellings)
{
    static const char *const texts[] = {"{\"a\": [NaN, 1]}", "{\"a\":[NaN,1]}"};
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    diff_options o = {.threads = 1, .memory = 64 * MIB};
    for (int i = 0; i < COUNT(texts); i++) {
        char name[40];
        snprintf(name, sizeof name, "%d/model.safetensors", i);
        scratch_safetensors(name, header, 4, 1);
        snprintf(name, sizeof name, "%d/config.json", i);
        scratch_text(name, texts[i]);
    }
    scarce_leave_jansson();
    source_path = scratch("0");
    packed_path = scratch("1");
    expect_scarce(diff_spellings, &o);
}
END_TEST

static err_code check_weights(void *ctx, err *e)
{
    weights_report found = {0};
    checkpoint *cp = NULL;
    pack_file *f = NULL;
    err_code code = pack_open(packed_path, &f, e);
    if (code == OK) {
        code = checkpoint_open(source_path, NULL, &cp, e);
    }
    if (code == OK) {
        code = weights_check(f, cp, ctx, NULL, &found, e);
    }
    weights_report_free(&found);
    checkpoint_close(cp);
    pack_close(f);
    return code;
}

START_TEST(weights)
{
    weights_options o = {.threads = 1, .memory = 64 * MIB};
    scarce_leave_jansson();
    source_path = test_data("ring-micro-linear");
    packed_path = scratch("out/p");
    expect_scarce(check_weights, &o);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("scarce_memory");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, refusals, 0, 3);
    tcase_add_loop_test(tc, tokenizers, 0, 3);
    tcase_add_test(tc, small_files);
    tcase_add_loop_test(tc, configurations, 0, 4);
    TCase *const models = tcase_create("models");
    tcase_set_timeout(models, 60);
    tcase_add_checked_fixture(models, forward_case_setup, forward_case_end);
    tcase_add_test(models, forward_passes);
    tcase_add_test(models, differences);
    tcase_add_test(models, weights);
    tcase_add_test(models, spellings);
    Suite *const s = suite_create("scarce_memory");
    suite_add_tcase(s, tc);
    suite_add_tcase(s, models);
    SRunner *const r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
