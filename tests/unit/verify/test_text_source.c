/* Texts one after another: whole files, JSON lines, what is wrong with a line, and where reading ends. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/aid/expect.h"
#include "tests/aid/text_case.h"
#include "verify/tokenizer/text_source.h"

/* "[text][text]", then "!" and an error without the directory of the test. */
static const char *shown(const char *const *names, size_t count, const char *field)
{
    static char text[1024];
    dir_list files = {0};
    text_source *s = NULL;
    text_piece t;
    size_t used = 0;
    err e = {0};
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        ck_assert(dir_list_add(&files, scratch(names[i])));
    }
    expect_ok(text_source_open(&files, field, NULL, &s, &e), &e);
    while (text_source_next(s, &t, &e) == OK && t.data) {
        used += (size_t)snprintf(text + used, sizeof text - used, "[%.*s]", (int)t.bytes, t.data);
    }
    if (e.code != OK) {
        ck_assert_int_eq(e.code, ERR_INPUT);
        snprintf(text + used, sizeof text - used, "!%s", e.text + strlen(scratch_dir) + 1);
    }
    text_source_close(s);
    dir_list_free(&files);
    return text;
}

static const struct {
    const char *lines, *shown;
} cases[] = {
    {"", ""},
    {"\n \t\r\n\n", ""},
    {"{\"text\":\"a\"}", "[a]"},
    {"{\"text\":\"a\"}\n{\"text\":\"b\\nc\"}\n", "[a][b\nc]"},
    {"\n {\"text\": \"\"} \r\n\n{\"id\":1,\"text\":\"\\u00e9\"}\n", "[][\xc3\xa9]"},
    {"{\"text\":\"a\"}\n\n{\"body\":\"b\"}\n", "[a]!a.jsonl: line 3: no field \"text\""},
    {"{\"text\":1}", "!a.jsonl: line 1: the field \"text\" is not a string"},
    {"{\"text\":null}", "!a.jsonl: line 1: the field \"text\" is not a string"},
    {"{\"text\":NaN}", "!a.jsonl: line 1: invalid token near 'NaN'"},
    {"[\"text\"]", "!a.jsonl: line 1: not an object"},
    {"\"text\"", "!a.jsonl: line 1: '[' or '{' expected near '\"text\"'"},
    {"{\"text\":\"a\"}\n{\"text\":\"b\"", "[a]!a.jsonl: line 2: '}' expected near end of file"},
    {"{\"text\":\n\"a\"}", "!a.jsonl: line 1: unexpected token near end of file"},
    {"{\"text\":\"a\"} {\"text\":\"b\"}", "!a.jsonl: line 1: end of file expected near '{'"},
    {"{\"text\":\"a\",\"text\":\"b\"}", "!a.jsonl: line 1: duplicate object key near '\"text\"'"},
    {"{\"text\":\"\xff\"}", "!a.jsonl: line 1: unable to decode byte 0xff"},
    {"{\"text\":\"\\u0000\"}", "!a.jsonl: line 1: \\u0000 is not allowed"},
    {"{\"text\":\"\\ud800\"}", "!a.jsonl: line 1: invalid Unicode '\\uD800'"},
};

/* The same from a plain file and from compressed ones. */
START_TEST(every_line_is_a_text)
{
    for (int i = 0; i < COUNT(packings); i++) {
        const char *const name = "a.jsonl";
        scratch_packed(name, packings[i].filter, cases[_i].lines, strlen(cases[_i].lines));
        const char *const found = shown(&name, 1, "text");
        const size_t bytes = strlen(cases[_i].shown);
        ck_assert_msg(strncmp(found, cases[_i].shown, bytes) == 0 &&
                          (strchr(found, '!') || !found[bytes]),
                      "%s: %s", packings[i].ending, found);
    }
}
END_TEST

START_TEST(the_field_has_a_name)
{
    const char *const name = "a.jsonl";
    scratch_text(name, "{\"text\":\"a\",\"b c\":\"d\"}");
    ck_assert_str_eq(shown(&name, 1, "b c"), "[d]");
    ck_assert_str_eq(shown(&name, 1, "x"), "!a.jsonl: line 1: no field \"x\"");
}
END_TEST

/* The name tells JSON lines from a text that begins with a brace. */
START_TEST(files_follow_each_other)
{
    static const char *const names[] = {"a.txt", "b.jsonl", "empty.jsonl", "c.jsonl.zst", "d"};
    scratch_text("a.txt", "{\"text\":\"x\"}\n");
    scratch_text("b.jsonl", "{\"text\":\"b\"}\n{\"text\":\"c\"}\n");
    scratch_text("empty.jsonl", "");
    scratch_packed("c.jsonl.zst", ARCHIVE_FILTER_ZSTD, "{\"text\":\"e\"}", 12);
    scratch_packed("d", ARCHIVE_FILTER_XZ, "f", 1);
    ck_assert_str_eq(shown(names, COUNT(names), "text"), "[{\"text\":\"x\"}\n][b][c][e][f]");
}
END_TEST

/* After the first `count` texts: does anything follow? */
static bool is_ended(const char *const *names, size_t files_count, int count)
{
    dir_list files = {0};
    text_source *s = NULL;
    text_piece t;
    bool ended = false;
    err e = {0};
    for (size_t i = 0; i < files_count; i++) {
        ck_assert(dir_list_add(&files, scratch(names[i])));
    }
    expect_ok(text_source_open(&files, "text", NULL, &s, &e), &e);
    for (int i = 0; i < count; i++) {
        expect_ok(text_source_next(s, &t, &e), &e);
    }
    expect_ok(text_source_ended(s, &ended, &e), &e);
    text_source_close(s);
    dir_list_free(&files);
    return ended;
}

START_TEST(the_end_is_known)
{
    static const char *const names[] = {"a.jsonl", "b.txt"};
    for (int i = 0; i < COUNT(packings); i++) {
        scratch_packed("a.jsonl", packings[i].filter, "{\"text\":\"b\"}\n{\"text\":\"c\"}\n", 26);
        ck_assert(!is_ended(names, 1, 0));
        ck_assert(!is_ended(names, 1, 1));
        ck_assert(is_ended(names, 1, 2));
        ck_assert(is_ended(names, 1, 3));
        scratch_text("b.txt", "d");
        ck_assert(!is_ended(names, 2, 2));
        ck_assert(is_ended(names, 2, 3));
    }
}
END_TEST

/* Neither success nor a verdict on what was read. */
START_TEST(a_change_overrules_the_texts)
{
    dir_list files = {0};
    text_source *s = NULL;
    text_piece t;
    err e = {0};
    scratch_text("a.jsonl", "{\"text\":\"b\"}\n{}\n");
    ck_assert(dir_list_add(&files, scratch("a.jsonl")));
    expect_ok(text_source_open(&files, "text", NULL, &s, &e), &e);
    expect_ok(text_source_next(s, &t, &e), &e);
    expect_ok(text_source_check(s, OK, &e), &e);
    ck_assert_int_eq(truncate(scratch("a.jsonl"), 4), 0);
    expect_error(text_source_check(s, OK, &e), ERR_IO, &e, "a.jsonl: changed during the run");
    e = (err){0};
    expect_error(text_source_next(s, &t, &e), ERR_IO, &e, "a.jsonl: changed during the run");
    e = (err){0};
    err_set(&e, ERR_INPUT, "odd");
    text_source_place(s, &e);
    ck_assert_ptr_nonnull(strstr(e.text, "a.jsonl: line 2: odd"));
    text_source_close(s);
    dir_list_free(&files);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("text_source");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, every_line_is_a_text, 0, COUNT(cases));
    tcase_add_test(tc, the_field_has_a_name);
    tcase_add_test(tc, files_follow_each_other);
    tcase_add_test(tc, the_end_is_known);
    tcase_add_test(tc, a_change_overrules_the_texts);
    return run_tests("text_source", tc);
}
