/* Patterns: what they match, character class by character class; what is refused; and that every
 * match ends, whatever the pattern and the text. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/aid/expect.h"
#include "verify/tokenizer/pattern.h"

static pattern *compiled(const char *text)
{
    pattern *p = NULL;
    err e = {0};
    expect_ok(pattern_compile(text, strlen(text), &p, &e), &e);
    return p;
}

static err_code match(const pattern *p, const char *text, size_t bytes, size_t *end, err *e)
{
    pattern_scratch *s = NULL;
    expect_ok(pattern_scratch_create(&s, e), e);
    pattern_budget(s, bytes, NULL);
    const err_code code = pattern_match(p, s, text, bytes, 0, end, e);
    pattern_scratch_free(s);
    return code;
}

static const struct {
    const char *pattern;
    const char *text;
    size_t end; /* 0: no match at the beginning */
} cases[] = {
    {"a", "ab", 1},
    {"a", "ba", 0},
    {"ab|cd", "cde", 2},
    {"a+?", "aaa", 1},
    {"a++a", "aaa", 0},
    {"a?+ab", "ab", 0},
    {"(a|b)+", "abac", 3},
    {"a{2}", "aaa", 2},
    {"a{2,}", "aaaa", 4},
    {"a{,2}b", "aab", 3},
    {"a{,2}b", "aaab", 0},
    {"a{1,3}", "aaaa", 3},
    {"(?>a*)a", "aaa", 0},
    {"a(?=b)", "ab", 1},
    {"a(?=b)", "ac", 0},
    {"a(?!b)", "ac", 1},
    {"a(?<=a)b", "ab", 2},
    {"a(?<!a)b", "ab", 0},
    {"[a-c-]+", "b-cd", 3},
    {"[^a-c]+", "xyzb", 3},
    {"[\\]\\[\\\\\\-]+", "[]\\-a", 4},
    {".", "\n", 0},
    {".", "\r", 1},
    {"\\.\\/\\ ", "./ x", 3},
    {"#a", "#a", 2},
    {"\\x41\\x{42}\\u0043", "ABC", 3},
    {"[\\x{4e00}-\\x{9fa5}]+", "\xe4\xb8\x80\xe9\xbe\xa5", 6},
    {"\xe4\xb8\x80+", "\xe4\xb8\x80\xe4\xb8\x80", 6},
    /* \s is White_Space: U+0085 and U+3000 are, U+180E, U+200B and U+FEFF are not. */
    {"\\s", "\xc2\x85", 2},
    {"\\s", "\x0b", 1},
    {"\\s", "\x1c", 0},
    {"\\s", "\xe3\x80\x80", 3},
    {"\\s", "\xe1\xa0\x8e", 0},
    {"\\S", "\xe1\xa0\x8e", 3},
    {"[\\s]", "\xe1\xa0\x8e", 0},
    {"[^\\s]", "\xe1\xa0\x8e", 3},
    {"[\\S]", "\xe1\xa0\x8e", 3},
    {"[\\S]", "\xc2\xa0", 0},
    {"\\s", "\xe2\x80\x8b", 0},
    {"\\s", "\xef\xbb\xbf", 0},
    /* Letters and numbers; U+31350 is a letter and U+1E4F0 a digit since Unicode 15. */
    {"\\p{L}+",
     "a\xc3\xa9\xf0\xb1\x8d\x90"
     "1",
     7},
    {"[^\\p{L}]", "\xf0\xb1\x8d\x90", 0},
    {"\\P{L}", "\xf0\xb1\x8d\x90", 0},
    {"\\p{^L}", "1", 1},
    {"\\p{N}+",
     "1\xc2\xbd\xf0\x9e\x93\xb0"
     "a",
     7},
    {"\\p{Lo}", "\xf0\xb1\x8d\x90", 4},
    {"\\p{Lu}", "\xf0\xb1\x8d\x90", 0},
    {"\\d+", "12\xd9\xa3\xc2\xbd", 4},
    {"\\D", "1", 0},
    {"\\p{Han}", "\xe4\xb8\x80", 3},
    {"\\p{Han}", "\xe3\x80\x81", 0},
    /* Operators within brackets. */
    {"[a-d[x]]+", "axdxe", 4},
    {"[^a-d[x]]+", "efgx", 3},
    {"[a-z&&[^aeiou]]+", "bcda", 3},
    {"[^a-z&&[^aeiou]]+", "aeb", 2},
    {"[ab[cd]&&[bc]e]+", "bcae", 2},
    {"[a-z&&b-y&&c-x]+", "cxb", 2},
    {"[\\p{Lo}&&[^\\p{Han}]]", "\xe4\xb8\x80", 0},
    {"[\\p{Lo}&&[^\\p{Han}]]", "\xe3\x81\x82", 3},
    {"[\\p{L}&&\\p{Han}]", "\xf0\xb1\x8d\x90", 4},
    {"[\\P{L}&&[^\\s]]+",
     "1-\xf0\x9f\x98\x80"
     "a",
     6},
    {"[\\P{L}]", "a", 0},
    {"[^\\P{L}x]+", "abx", 2},
    {"[\\D]", "1", 0},
    {"[^(\\s|[.,])]+", "ab\xc3\xa9[", 5},
    {"[^(\\s|[.,])]+", "a|", 1},
    {"a$", "a", 1},
    {"a$", "a\nb", 1},
    {"a$", "ab", 0},
    {"\\s+$", " \n x", 1},
    /* Ignoring case, also for the long s and the kelvin sign. */
    {"(?i:'S)", "'\xc5\xbf", 3},
    {"(?i:[k])", "\xe2\x84\xaa", 3},
    {"(?i:ll)l", "LlL", 0},
    {"(?i:ll)l", "LLl", 3},
    {"(?i:f s|i t)", "F S", 3},
};

START_TEST(patterns_match)
{
    pattern *const p = compiled(cases[_i].pattern);
    size_t end = 99;
    err e = {0};
    expect_ok(match(p, cases[_i].text, strlen(cases[_i].text), &end, &e), &e);
    ck_assert_msg(end == cases[_i].end, "%s \"%s\": %zu", cases[_i].pattern, cases[_i].text, end);
    pattern_free(p);
}
END_TEST

static const struct {
    const char *pattern;
    const char *says;
} bad[] = {
    {"", "match the empty string"},
    {"a*", "match the empty string"},
    {"a|", "match the empty string"},
    {"^a", "an operator at byte 0"},
    {"a]", "an operator"},
    {"*a", "an operator"},
    {"{a", "an operator"},
    {"a**", "quantifier after a quantifier at byte 2"},
    {"a+++", "quantifier after a quantifier"},
    {"a{1}+", "an interval at byte 1"},
    {"a{1,2}?", "an interval"},
    {"a{2,1}", "an interval"},
    {"a{,}", "an interval"},
    {"a{1", "an interval"},
    {"a{99999}", "too big"},
    {"a{123456}", "an interval"},
    {"(?=a)+b", "a quantifier here"},
    {"(a", "an unclosed group at byte 0"},
    {"a)", "an unmatched closing parenthesis"},
    {"(?<n>a)", "a group of this kind"},
    {"(?i)a", "a group of this kind"},
    {"(?m:a)", "a group of this kind"},
    {"(*FAIL)", "a group of this kind"},
    {"\\ba", "an escape at byte 0"},
    {"\\w", "an escape"},
    {"\\h", "an escape"},
    {"(a)\\1", "an escape"},
    {"\\", "an escape"},
    {"\\pL", "a property without braces"},
    {"\\p{Greek}", "a property at byte 2"},
    {"\\p{Cn}", "a property"},
    {"\\p{L", "a property"},
    {"\\xff", "a numeric escape like this"},
    {"\\x{110000}", "a numeric escape like this"},
    {"\\x{d800}", "a numeric escape like this"},
    {"\\u41", "a numeric escape like this"},
    {"[", "an unclosed bracket expression"},
    {"[]a]", "a bracket expression that begins like this"},
    {"[[:alpha:]]", "a bracket expression that begins like this at byte 1"},
    {"[a&&b]", "a bracket expression that matches nothing at byte 0"},
    {"[a&&]", "an empty part of a bracket expression at byte 4"},
    {"[&&a]", "an empty part of a bracket expression at byte 1"},
    {"[a[b]", "an unclosed bracket expression at byte 0"},
    {"[a[]b]]", "a bracket expression that begins like this at byte 2"},
    {"[[a-\\d]]", "a range"},
    {"[[b-a]]", "a range"},
    {"(?i:[a[b]])", "an operator within brackets here"},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
     "a bracket expression that begins like this"},
    {"a$+", "a quantifier here"},
    {"[a-b-c]", "an operator within brackets"},
    {"[b-a]", "a range"},
    {"[\\s-a]", "a range"},
    {"[a-\\s]", "a range"},
    {"(?i:\xc3\xa9)", "case-insensitive matching of this text"},
    {"(?i:st)", "case-insensitive matching of this text at byte 5"},
    {"(?i:\\s)", "a case-insensitive class of characters"},
    {"(?i:[^a])", "a bracket expression that begins like this"},
    {"\xff", "text that is not UTF-8"},
    {"((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))",
     "a group nested this deeply"},
};

START_TEST(bad_patterns_are_refused)
{
    pattern *p = NULL;
    err e = {0};
    expect_error(pattern_compile(bad[_i].pattern, strlen(bad[_i].pattern), &p, &e), ERR_INPUT, &e,
                 bad[_i].says);
    ck_assert_ptr_null(p);
}
END_TEST

START_TEST(literals_have_no_operators)
{
    pattern *p = NULL;
    size_t end = 0;
    err e = {0};
    expect_ok(pattern_literal("a.*[", 4, &p, &e), &e);
    expect_ok(match(p, "a.*[b", 5, &end, &e), &e);
    ck_assert_uint_eq(end, 4);
    expect_ok(match(p, "abc[b", 5, &end, &e), &e);
    ck_assert_uint_eq(end, 0);
    pattern_free(p);
    expect_error(pattern_literal("", 0, &p, &e), ERR_INPUT, &e, "match the empty string");
}
END_TEST

START_TEST(word_characters)
{
    static const char *const in[] = {"a", "7", "_", "\xcc\x81", "\xe2\x80\x8d", "\xf0\xb1\x8d\x90"};
    static const char *const out[] = {" ", "-", "\xc2\xb2", "\xe2\x80\x8b", "\xf0\x9f\x98\x80"};
    pattern *p = NULL;
    size_t end = 0;
    err e = {0};
    expect_ok(pattern_word(&p, &e), &e);
    for (int i = 0; i < COUNT(in); i++) {
        expect_ok(match(p, in[i], strlen(in[i]), &end, &e), &e);
        ck_assert_msg(end == strlen(in[i]), "in %d", i);
    }
    for (int i = 0; i < COUNT(out); i++) {
        expect_ok(match(p, out[i], strlen(out[i]), &end, &e), &e);
        ck_assert_msg(end == 0, "out %d", i);
    }
    pattern_free(p);
}
END_TEST

START_TEST(lookbehind_sees_text_before_the_offset)
{
    pattern *const p = compiled("(?<!a)b");
    pattern_scratch *s = NULL;
    size_t end = 0;
    err e = {0};
    expect_ok(pattern_scratch_create(&s, &e), &e);
    expect_ok(pattern_match(p, s, "abcb", 4, 1, &end, &e), &e);
    ck_assert_uint_eq(end, 0);
    expect_ok(pattern_match(p, s, "abcb", 4, 3, &end, &e), &e);
    ck_assert_uint_eq(end, 4);
    pattern_scratch_free(s);
    pattern_free(p);
}
END_TEST

/* Each of these needs more steps than any machine can do, yet each match ends soon, with no match
 * or with an error. */
static const char *const hostile[] = {
    "(?:a*)*b",       "(?:a|a)*b",        "a*a*a*a*a*a*a*b",
    "(?:a+)+b",       "(?:a?){60}a{60}b", "(?:a|aa)+b",
    "(?=(?:a+)+b)a+", "(?:[ab]*[ac]*)+d", "(?:(?:a{1,9}){1,9}){1,9}b"};

START_TEST(hostile_patterns_end)
{
    enum { BYTES = 100000 };
    static char text[BYTES];
    const clock_t begin = clock();
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 3, "xbd", 3); /* so the pattern's last character occurs */
    pattern *const p = compiled(hostile[_i]);
    size_t end = 0;
    err e = {0};
    const err_code code = match(p, text, sizeof text, &end, &e);
    ck_assert_msg(code == ERR_INPUT || (code == OK && end == 0), "%s", e.text);
    pattern_free(p);
    expect_seconds(begin, 5, hostile[_i]);
}
END_TEST

START_TEST(long_texts_match)
{
    enum { BYTES = 4 << 20 };
    char *const text = malloc(BYTES);
    ck_assert_ptr_nonnull(text);
    memset(text, ' ', BYTES);
    static const char *const patterns[] = {"\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "(?:  )+",
                                           "\\s+?\\S|\\s+"};
    for (int i = 0; i < COUNT(patterns); i++) {
        pattern *const p = compiled(patterns[i]);
        size_t end = 0;
        err e = {0};
        const err_code code = match(p, text, BYTES, &end, &e);
        printf("%s: %s %zu\n", patterns[i], e.text, end);
        ck_assert_msg(code == ERR_INPUT ? i == 1 : end == BYTES, "%s: %s", patterns[i], e.text);
        pattern_free(p);
    }
    free(text);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("pattern");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, patterns_match, 0, COUNT(cases));
    tcase_add_loop_test(tc, bad_patterns_are_refused, 0, COUNT(bad));
    tcase_add_test(tc, literals_have_no_operators);
    tcase_add_test(tc, word_characters);
    tcase_add_test(tc, lookbehind_sees_text_before_the_offset);
    tcase_add_loop_test(tc, hostile_patterns_end, 0, COUNT(hostile));
    tcase_add_test(tc, long_texts_match);
    return run_tests("pattern", tc);
}
