/* Every allocation of a command fails in turn, from its arguments to its report: no memory, or the
 * usual end. */
#include "tests/aid/scarce.h"

#include <stdio.h>

#include "bin/cmd.h"
#include "tests/aid/scratch.h"

enum { WORDS_MAX = 12 };

/* A command line. */
typedef struct line {
    command_id command;
    const char *words[WORDS_MAX]; /* after the name of the command */
} line;

static char model[512], packed[512], out[512], text[512], limits[512];

static const line lines[] = {
    {COMMAND_CONVERT, {model, "-n", "--threads", "1"}},
    {COMMAND_CONVERT, {model, "-n", "-v", "--keep", "*down_proj*", "--tp", "1,2", "--for", "bf16"}},
    {COMMAND_CONVERT, {model, "-o", out, "-f", "--threads", "1", "--device", "cpu", "-v"}},
    {COMMAND_INSPECT, {model}},
    {COMMAND_INSPECT, {packed}},
    {COMMAND_INSPECT, {packed, "--tensor", "*.layers.1.*"}},
    {COMMAND_VERIFY, {packed, "--threads", "1"}},
    {COMMAND_VERIFY, {packed, "--against", model, "--threads", "1"}},
    {COMMAND_VERIFY,
     {packed, "--against", model, "--forward", "--text", text, "--length", "2", "--limits", limits,
      "--threads", "1"}},
    {COMMAND_DIFF, {packed, packed, "--full", "--threads", "1"}},
    {COMMAND_DIFF, {packed, model, "--threads", "1"}},
    {COMMAND_EXPORT, {packed, "-n", "--for", "bf16"}},
    {COMMAND_EXPORT, {packed, "-o", out, "--for", "bf16", "--threads", "1"}},
    {COMMAND_UNPACK, {packed, "-o", out, "--dequantize", "bf16", "model.layers.1.*"}},
    {COMMAND_TOKENIZE, {packed, "--text", text}},
    {COMMAND_DEVICES, {NULL}},
};

static err_code run_line(const line *l, bool json, err *e)
{
    char *words[WORDS_MAX + 2] = {(char *)command_table[l->command].name};
    int count = 1;
    report r;
    (void)nftw(out, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS); /* there may be none */
    for (size_t i = 0; i < WORDS_MAX && l->words[i]; i++) {
        words[count++] = (char *)l->words[i];
    }
    if (json) {
        words[count++] = (char *)"--json";
    }
    report_start(&r, l->command, json);
    const err_code code = cmd_list[l->command]->run(count, words, &r, e);
    json_decref(r.root);
    return code;
}

static err_code run_text(void *l, err *e)
{
    return run_line(l, false, e);
}

static err_code run_json(void *l, err *e)
{
    return run_line(l, true, e);
}

static void start(void)
{
    static const char few[] = "ab cd";
    static const char loose[] = "{\"octavo_limits\": 1, \"f32\": {\"local_error\": 1}}";
    const char *const data = getenv("TESTDATA");
    const line first = {COMMAND_CONVERT, {model, "-o", packed, "-q", "--device", "cpu"}};
    err e = {0};
    scratch_make();
    scratch_write("text", few, strlen(few));
    scratch_write("limits", loose, strlen(loose));
    snprintf(model, sizeof model, "%s/ring-micro-linear", data ? data : "tests/data");
    snprintf(packed, sizeof packed, "%s", scratch("packed"));
    snprintf(out, sizeof out, "%s", scratch("out"));
    snprintf(text, sizeof text, "%s", scratch("text"));
    snprintf(limits, sizeof limits, "%s", scratch("limits"));
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
    expect_ok(run_line(&first, false, &e), &e);
}

START_TEST(for_people)
{
    expect_scarce(run_text, (void *)&lines[_i]);
}
END_TEST

/* Every other one. */
START_TEST(as_json)
{
    expect_scarce(run_json, (void *)&lines[2 * _i]);
}
END_TEST

int main(void)
{
    /* There is no way out of it, and this process still has a directory to remove. */
    setenv("OCTAVO_SANDBOX", "off", 1);
    scarce_leave_jansson();
    TCase *const tc = tcase_create("scarce_commands");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, start, scratch_remove);
    tcase_add_loop_test(tc, for_people, 0, COUNT(lines));
    tcase_add_loop_test(tc, as_json, 0, COUNT(lines) / 2);
    return run_tests("scarce_commands", tc);
}
