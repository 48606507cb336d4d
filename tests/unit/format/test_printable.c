/* What may be shown of names from outside. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/printable.h"
#include "tests/aid/expect.h"

static const struct {
    const char *text, *shown;
} cases[] = {
    {"", ""},
    {"model.layers.0 \\n \"", "model.layers.0 \\n \""},
    {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"\x1b[31m\n\t\x7f", "\\x1b[31m\\x0a\\x09\\x7f"},
    {"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0\xc2\xa1", "\\u0080\\u009b\\u009f\\u00a0\xc2\xa1"},
    {"a\xc2\xad"
     "b",
     "a\\u00adb"}, /* soft hyphen */
    /* NOLINTNEXTLINE(misc-misleading-bidirectional) */
    {"\xe2\x80\xaa\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9", "\\u202a\\u202e\\u2066\\u2069"},
    {"\xe2\x80\x8b\xe2\x80\x8f\xe2\x81\xa0\xef\xbb\xbf", "\\u200b\\u200f\\u2060\\ufeff"},
    {"\xe2\x80\xa8\xe2\x80\xa9\xe3\x80\x80", "\\u2028\\u2029\\u3000"},
    {"\xe2\x80\xa7\xe2\x80\xb0", "\xe2\x80\xa7\xe2\x80\xb0"}, /* before and after these */
    {"\xef\xb8\x8f\xf3\xa0\x81\x81", "\\ufe0f\\U000e0041"},   /* a variation selector, a tag */
    {"\xef\xb7\x90\xef\xbf\xbf\xf4\x8f\xbf\xbf", "\\ufdd0\\uffff\\U0010ffff"},
    {"\xff\xc3", "\\xff\\xc3"},          /* not UTF-8 */
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
    {"\xc0\xaf", "\\xc0\\xaf"},          /* an overlong form */
};

START_TEST(what_cannot_be_seen_is_escaped)
{
    char to[128];
    ck_assert_ptr_eq(printable(to, sizeof to, cases[_i].text), to);
    ck_assert_str_eq(to, cases[_i].shown);
    char again[128];
    ck_assert_str_eq(printable(again, sizeof again, to), to);
    char *const copy = printable_copy(cases[_i].text);
    ck_assert_str_eq(copy, cases[_i].shown);
    free(copy);
}
END_TEST

START_TEST(cut_at_whole_characters)
{
    static const char text[] = "a\xc3\xbc\x1b";
    static const char *const expected[] = {"",          "a",         "a",         "a\xc3\xbc",
                                           "a\xc3\xbc", "a\xc3\xbc", "a\xc3\xbc", "a\xc3\xbc\\x1b"};
    for (size_t room = 1; room <= COUNT(expected); room++) {
        char to[16];
        memset(to, 'x', sizeof to);
        ck_assert_str_eq(printable(to, room, text), expected[room - 1]);
        ck_assert_int_eq(to[room], 'x');
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("printable");
    tcase_add_loop_test(tc, what_cannot_be_seen_is_escaped, 0, COUNT(cases));
    tcase_add_test(tc, cut_at_whole_characters);
    return run_tests("printable", tc);
}
