#include "verify/tokenizer/text_budget.h"

#include <check.h>

#include "tests/aid/tokenizer_case.h"

enum { BYTES = 1 << 20, GROWING_BYTES = SANITIZED ? 1 << 16 : BYTES };

static char *letters(const char *cycle, size_t bytes)
{
    char *const text = malloc(bytes);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < bytes; i++) {
        text[i] = cycle[i % strlen(cycle)];
    }
    return text;
}

START_TEST(growth_has_a_limit)
{
    text_budget b;
    err e = {0};
    text_budget_begin(&b, 2, NULL);
    expect_ok(text_budget_check(&b, 2 * TEXT_GROWTH + TEXT_SPARE, &e), &e);
    expect_ok(text_budget_spend(&b, TEXT_SPARE, &e), &e);
    expect_ok(text_budget_spend(&b, 2 * TEXT_GROWTH, &e), &e);
    expect_error(text_budget_spend(&b, 1, &e), ERR_INPUT, &e, "more than 64 times");
}
END_TEST

#define FOUR(x)       x "," x "," x "," x
#define SIXTEEN(x)    FOUR(FOUR(x))
#define NORMALIZER(x) "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[" x "]},"
#define DOUBLE(by)    "{\"type\":\"Replace\",\"pattern\":{" by "},\"content\":\"aaaaaaaaaaaaaaaa\"}"

/* Sixteen steps, each of which makes a text longer. */
static const struct {
    const char *head, *pre, *cycle;
} stacks[] = {
    {"", "{\"type\":\"Sequence\",\"pretokenizers\":[" SIXTEEN(BYTE_LEVEL) "]}", "\xc3\xa9"},
    {NORMALIZER(SIXTEEN(DOUBLE("\"String\":\"a\""))), BYTE_LEVEL, "a"},
    {NORMALIZER(SIXTEEN(DOUBLE("\"Regex\":\"a\""))), BYTE_LEVEL, "a"},
};

START_TEST(stacked_steps_are_refused)
{
    char *const text = letters(stacks[_i].cycle, GROWING_BYTES);
    tokenizer *const t = make(stacks[_i].head, stacks[_i].pre, "");
    token_list ids = {0};
    err e = {0};
    expect_error(tokenizer_encode(t, text, GROWING_BYTES, NULL, &ids, &e), ERR_INPUT, &e,
                 "more than 64 times longer");
    token_list_free(&ids);
    tokenizer_free(t);
    free(text);
}
END_TEST

static bool is_asked(void *ctx)
{
    ++*(unsigned *)ctx;
    return false;
}

static unsigned count_looks(const char *head, const char *pre, const char *cycle, size_t bytes)
{
    char *const text = letters(cycle, bytes);
    tokenizer *const t = make(head, pre, "");
    unsigned looks = 0;
    const monitor m = {.cancelled = is_asked, .ctx = &looks};
    token_list ids = {0};
    err e = {0};
    expect_ok(tokenizer_encode(t, text, bytes, &m, &ids, &e), &e);
    token_list_free(&ids);
    tokenizer_free(t);
    free(text);
    return looks;
}

/* Where time goes, the monitor is asked: a few times for a text of this length. */
static const struct {
    const char *head, *pre, *cycle;
} slow[] = {
    {"", "{\"type\":\"Sequence\",\"pretokenizers\":[" FOUR(BYTE_LEVEL) "]}", "ab "},
    {"\"added_tokens\":[" ADDED(263, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", PLAIN) "],", BYTE_LEVEL,
     "a"},
    {NORMALIZER(DOUBLE("\"String\":\"c\"")), BYTE_LEVEL, "bc"},
};

START_TEST(cancellation_is_asked_for)
{
    ck_assert_uint_ge(count_looks(slow[_i].head, slow[_i].pre, slow[_i].cycle, BYTES), 5);
}
END_TEST

/* Every token of white space that takes the space after it would scan all of the rest. */
START_TEST(space_is_skipped_once)
{
    static const char *const cycles[] = {" ", " \t"};
    char *const text = letters(cycles[_i], BYTES);
    tokenizer *const t =
        make("\"added_tokens\":[" ADDED(263, " ", FLAGS(false, false, true, false)) "," ADDED(
                 264, "\\t", PLAIN) "],",
             BYTE_LEVEL, "");
    token_list ids = {0};
    err e = {0};
    expect_ok(tokenizer_encode(t, text, BYTES, NULL, &ids, &e), &e);
    ck_assert_uint_ge(ids.count, 1);
    token_list_free(&ids);
    tokenizer_free(t);
    free(text);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("text_budget");
    tcase_add_test(tc, growth_has_a_limit);
    tcase_add_loop_test(tc, stacked_steps_are_refused, 0, 3);
    tcase_add_loop_test(tc, cancellation_is_asked_for, 0, 3);
    tcase_add_loop_test(tc, space_is_skipped_once, 0, 2);
    return run_tests("text_budget", tc);
}
