/* Normalization forms: what composes and decomposes, the order of marks, characters that are newer
 * than the library, and the time that hostile texts take. tests/interop/tokenizer_families.py
 * compares all of Unicode. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/aid/expect.h"
#include "verify/tokenizer/unicode_normal.h"

static const struct {
    unicode_form form;
    const char *text, *expected;
} cases[] = {
    {UNICODE_NFC, "", ""},
    {UNICODE_NFC, "abc", "abc"},
    {UNICODE_NFC, "abe\xcc\x81z", "ab\xc3\xa9z"},
    {UNICODE_NFD, "ab\xc3\xa9z", "abe\xcc\x81z"},
    {UNICODE_NFC,
     "\xcc\x81"
     "e",
     "\xcc\x81"
     "e"},
    /* U+212B has a canonical decomposition, U+FB01 only a compatible one. */
    {UNICODE_NFC, "\xe2\x84\xab \xef\xac\x81", "\xc3\x85 \xef\xac\x81"},
    {UNICODE_NFKC, "\xef\xac\x81 \xc2\xb2 \xef\xbc\xa1", "fi 2 A"},
    {UNICODE_NFKD, "\xef\xac\x81\xc3\xa9", "fie\xcc\x81"},
    /* U+0301 and U+0323 change places; then the second joins. */
    {UNICODE_NFD, "e\xcc\x81\xcc\xa3", "e\xcc\xa3\xcc\x81"},
    {UNICODE_NFC, "e\xcc\x81\xcc\xa3", "\xe1\xba\xb9\xcc\x81"},
    /* U+0958 is excluded from composition. */
    {UNICODE_NFC, "\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"},
    /* Hangul. */
    {UNICODE_NFC, "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"},
    {UNICODE_NFD, "\xea\xb0\x81", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8"},
    /* An ideograph keeps its marks; a compatible one becomes it. */
    {UNICODE_NFC, "\xe4\xb8\x80\xcc\x81\xcc\xa3", "\xe4\xb8\x80\xcc\xa3\xcc\x81"},
    {UNICODE_NFC, "\xef\xa4\x80", "\xe8\xb1\x88"},
    /* U+32FF (Unicode 12.1), U+0898 and U+11938 (later): left alone, and nothing passes them. */
    {UNICODE_NFKC, "\xe3\x8b\xbf", "\xe3\x8b\xbf"},
    {UNICODE_NFD, "\xf0\x91\xa4\xb8", "\xf0\x91\xa4\xb8"},
    {UNICODE_NFC, "\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0", "\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0"},
    {UNICODE_NFC, "e\xe0\xa2\x98\xcc\x81", "e\xe0\xa2\x98\xcc\x81"},
    {UNICODE_NFD, "e\xcc\x81\xe0\xa2\x98\xcc\xa3", "e\xcc\x81\xe0\xa2\x98\xcc\xa3"},
};

static void expect_normal(unicode_form form, const char *text, size_t bytes, const char *expected,
                          size_t expected_bytes)
{
    unicode_work w = {0};
    text_buffer out = {0};
    err e = {0};
    expect_ok(unicode_normalize(form, text, bytes, &w, &out, &e), &e);
    ck_assert_uint_eq(out.bytes, expected_bytes);
    ck_assert(out.bytes == 0 || memcmp(out.text, expected, expected_bytes) == 0);
    text_buffer_free(&out);
    unicode_work_free(&w);
}

START_TEST(texts_are_normalized)
{
    expect_normal(cases[_i].form, cases[_i].text, strlen(cases[_i].text), cases[_i].expected,
                  strlen(cases[_i].expected));
}
END_TEST

START_TEST(a_nul_is_a_character)
{
    expect_normal(UNICODE_NFC, "e\xcc\x81\0e\xcc\x81", 7, "\xc3\xa9\0\xc3\xa9", 5);
}
END_TEST

/* Marks in the worst order: sorting them one by one would take hours. */
START_TEST(many_marks_take_linear_time)
{
    enum { MARKS = 1 << 20 };
    char *const text = malloc(2 * MARKS);
    char *const expected = malloc(2 * MARKS);
    ck_assert(text && expected);
    for (size_t i = 0; i < MARKS; i++) {
        memcpy(text + 2 * i, i % 2 ? "\xcc\xa3" : "\xcc\x81", 2);
        memcpy(expected + 2 * i, i < MARKS / 2 ? "\xcc\xa3" : "\xcc\x81", 2);
    }
    const clock_t begin = clock();
    expect_normal(UNICODE_NFC, text, 2 * MARKS, expected, 2 * MARKS);
    expect_seconds(begin, 2, "a million marks");
    free(text);
    free(expected);
}
END_TEST

START_TEST(late_characters_ascend)
{
    for (size_t i = 0; i < unicode_normal_late_count; i++) {
        ck_assert_uint_le(unicode_normal_late[i].first, unicode_normal_late[i].last);
        ck_assert(i == 0 || unicode_normal_late[i - 1].last < unicode_normal_late[i].first);
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("unicode_normal");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, texts_are_normalized, 0, COUNT(cases));
    tcase_add_test(tc, a_nul_is_a_character);
    tcase_add_test(tc, many_marks_take_linear_time);
    tcase_add_test(tc, late_characters_ascend);
    return run_tests("unicode_normal", tc);
}
