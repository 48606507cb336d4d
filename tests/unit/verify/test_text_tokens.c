/* Tokens of many texts: nothing merges across texts, reading ends in time, and errors have a place. */
#include <check.h>
#include <string.h>

#include "tests/aid/scratch.h"
#include "tests/aid/tokenizer_case.h"
#include "verify/tokenizer/text_tokens.h"

static dir_list files;
static tokenizer *t;
static token_list ids;
static bool ended;

static void start(void)
{
    scratch_make();
    err e = {0};
    expect_ok(try_make("", BYTE_LEVEL, "", MERGES, &t, &e), &e);
}

static void finish(void)
{
    token_list_free(&ids);
    tokenizer_free(t);
    dir_list_free(&files);
    scratch_remove();
}

static void add(const char *name, const char *text)
{
    scratch_text(name, text);
    ck_assert(dir_list_add(&files, scratch(name)));
}

static err_code run(size_t wanted, uint64_t vocab, err *e)
{
    const text_tokens_request r = {
        .tokenizer = t, .files = &files, .field = "text", .wanted = wanted, .vocab = vocab};
    token_list_free(&ids);
    return text_tokens(&r, &ids, &ended, e);
}

static void expect_numbers(const int32_t *expected, size_t count)
{
    ck_assert_uint_eq(ids.count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(ids.ids[i], expected[i]);
    }
}

/* "a" and "b" would be one token in one text. */
START_TEST(texts_do_not_merge)
{
    static const int32_t expected[] = {256, 97, 98, 97, 98, 257};
    err e = {0};
    add("a.txt", "ab");
    add("b.txt", "a");
    add("empty.txt", "");
    add("c.txt", "b");
    add("d.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\"}\n{\"text\":\"b\"}\n");
    add("e.txt", "abc");
    expect_ok(run(SIZE_MAX, UINT64_MAX, &e), &e);
    expect_numbers(expected, COUNT(expected));
    ck_assert(ended);
}
END_TEST

/* What comes after enough tokens is not looked at. */
START_TEST(reading_ends_in_time)
{
    static const int32_t expected[] = {97, 256, 98};
    err e = {0};
    add("a.txt", "a");
    add("b.jsonl", "{\"text\":\"abb\"}\n{\n");
    add("c.txt", "\xff");
    expect_ok(run(2, UINT64_MAX, &e), &e);
    expect_numbers(expected, COUNT(expected));
    ck_assert(!ended);
    expect_ok(run(3, UINT64_MAX, &e), &e);
    expect_numbers(expected, COUNT(expected));
    expect_ok(run(0, UINT64_MAX, &e), &e);
    ck_assert_uint_eq(ids.count, 0);
    expect_error(run(4, UINT64_MAX, &e), ERR_INPUT, &e, "b.jsonl: line 2: ");
}
END_TEST

START_TEST(the_last_text_may_be_the_end)
{
    err e = {0};
    add("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    expect_ok(run(2, UINT64_MAX, &e), &e);
    ck_assert(ended);
    expect_ok(run(1, UINT64_MAX, &e), &e);
    ck_assert(!ended);
}
END_TEST

START_TEST(errors_name_the_text)
{
    err e = {0};
    add("a.jsonl", "{\"text\":\"a\"}\n\n{\"text\":\"ab\"}\n");
    expect_error(run(SIZE_MAX, 256, &e), ERR_INPUT, &e,
                 "a.jsonl: line 3: the id 256 at position 0 is not in a vocabulary of 256");
    e = (err){0};
    add("b.txt", "abc\xff");
    expect_error(run(SIZE_MAX, UINT64_MAX, &e), ERR_INPUT, &e, "b.txt: ");
    e = (err){0};
    ck_assert_int_eq(remove(scratch("a.jsonl")), 0);
    expect_error(run(SIZE_MAX, UINT64_MAX, &e), ERR_IO, &e, "a.jsonl: cannot open");
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("text_tokens");
    tcase_add_checked_fixture(tc, start, finish);
    tcase_add_test(tc, texts_do_not_merge);
    tcase_add_test(tc, reading_ends_in_time);
    tcase_add_test(tc, the_last_text_may_be_the_end);
    tcase_add_test(tc, errors_name_the_text);
    return run_tests("text_tokens", tc);
}
