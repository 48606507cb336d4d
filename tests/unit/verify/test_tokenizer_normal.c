/* Normalizers of a tokenizer.json: which are read, what they do to a text and to added tokens. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/tokenizer_case.h"

#define NORMALIZER(value) "\"normalizer\":" value ","
#define LIST(steps)       NORMALIZER("{\"type\":\"Sequence\",\"normalizers\":[" steps "]}")
#define REPLACE(kind, pattern, content)                                                            \
    "{\"type\":\"Replace\",\"pattern\":{\"" kind "\":\"" pattern "\"},\"content\":\"" content "\"}"
#define PREPEND(text) "{\"type\":\"Prepend\",\"prepend\":\"" text "\"}"
#define NFC           "{\"type\":\"NFC\"}"

static const struct {
    const char *head, *text, *ids;
} cases[] = {
    {NORMALIZER("null"), "ab", "256"},
    {LIST(""), "e\xcc\x81", "101 204 129"},
    {NORMALIZER(NFC), "e\xcc\x81", "195 169"},
    {NORMALIZER("{\"type\":\"NFKC\"}"),
     "\xef\xbd\x81"
     "b",
     "256"},
    {NORMALIZER("{\"type\":\"NFD\"}"), "\xc3\xa9", "101 204 129"},
    {NORMALIZER("{\"type\":\"NFKD\"}"), "\xc3\xa9", "101 204 129"},
    {LIST(NFC "," REPLACE("String", "\\u00e9", "ab")), "e\xcc\x81", "256"},
    {LIST(REPLACE("String", "\\u00e9", "ab") "," NFC), "e\xcc\x81", "195 169"},
    {NORMALIZER(REPLACE("String", "aa", "b")), "aaaaa", "98 98 97"},
    {NORMALIZER(REPLACE("String", "a.", "$1")), "aba.", "256 36 49"},
    {NORMALIZER(REPLACE("Regex", "x+", "b")), "axxbx", "256 98 98"},
    {NORMALIZER(REPLACE("Regex", "x+", "")), "axxbx", "256"},
    {NORMALIZER(REPLACE("String", "x", "")), "xx", ""},
    {NORMALIZER(PREPEND("a")), "b", "256"},
    {NORMALIZER(PREPEND("a")), "", ""},
    {LIST(REPLACE("String", "x", "") "," PREPEND("a")), "x", ""},
    {LIST(PREPEND("a") "," PREPEND(" ")), "b", "262"},
};

START_TEST(texts_are_normalized)
{
    tokenizer *const t = make(cases[_i].head, BYTE_LEVEL, "");
    expect_ids(t, cases[_i].text, cases[_i].ids);
    tokenizer_free(t);
}
END_TEST

/* Tokens that are not normalized are found in the text as it is, and every piece between them is
 * normalized on its own; the others are normalized themselves, so that the last one is "a#". */
START_TEST(added_tokens_and_pieces)
{
    static const struct {
        const char *normalizer, *tokens, *text, *ids;
    } added[] = {
        {NORMALIZER(PREPEND("a")), ADDED(35, "#", PLAIN), "b#b##", "256 35 256 35 35"},
        {NORMALIZER(NFC), ADDED(263, "e\\u0301", PLAIN), "e\xcc\x81 \xc3\xa9", "263 32 195 169"},
        {NORMALIZER(NFC), ADDED(263, "e\\u0301", FLAGS(false, false, false, true)),
         "e\xcc\x81 \xc3\xa9", "263 32 263"},
        {NORMALIZER(PREPEND("a")), ADDED(35, "#", FLAGS(false, false, false, true)), "#b#",
         "35 98 35"},
    };
    char head[512];
    snprintf(head, sizeof head, "%s\"added_tokens\":[%s],", added[_i].normalizer, added[_i].tokens);
    tokenizer *const t = make(head, BYTE_LEVEL, "");
    expect_ids(t, added[_i].text, added[_i].ids);
    tokenizer_free(t);
}
END_TEST

static const struct {
    const char *head, *says;
} bad[] = {
    {NORMALIZER("{\"type\":\"Lowercase\"}"),
     "normalizer: {\"type\":\"Lowercase\"} is not supported"},
    {NORMALIZER("{\"type\":\"NFC\",\"x\":1}"), "normalizer.x: 1"},
    {NORMALIZER("5"), "normalizer: 5"},
    {NORMALIZER("{\"type\":\"Sequence\"}"), "normalizer.normalizers: missing"},
    {LIST(NFC ","
              "{\"type\":\"Strip\"}"),
     "normalizer.normalizers[1]: {\"type\":\"Strip\"}"},
    {LIST(NFC "," NFC "," NFC "," NFC "," NFC "," NFC "," NFC "," NFC "," NFC "," NFC "," NFC
              "," NFC "," NFC "," NFC "," NFC "," NFC "," NFC),
     "normalizer.normalizers[16]"},
    {NORMALIZER("{\"type\":\"Replace\",\"content\":\"\"}"), "normalizer.pattern: missing"},
    {NORMALIZER(REPLACE("String", "", "a")), "normalizer.pattern: {\"String\":\"\"}"},
    {NORMALIZER(REPLACE("Regex", "(a)", "$1")), "normalizer.content: \"$1\""},
    {NORMALIZER(REPLACE("Regex", "a*", "b")),
     "normalizer.pattern: the pattern can match the empty"},
    {NORMALIZER("{\"type\":\"Prepend\"}"), "normalizer.prepend: missing"},
    {NORMALIZER(REPLACE("String", "#", "")) "\"added_tokens\":[" ADDED(
         35, "#", FLAGS(false, false, false, true)) "],",
     "added_tokens: \"#\" has 0 bytes after normalization"},
    {NORMALIZER(REPLACE("String", "#", "a")) "\"added_tokens\":[" ADDED(
         35, "#",
         FLAGS(false, false, false, true)) "," ADDED(97, "a",
                                                     FLAGS(false, false, false, true)) "],",
     "added_tokens: duplicate token \"a\""},
};

START_TEST(others_are_refused)
{
    tokenizer *t = NULL;
    err e = {0};
    expect_error(try_make(bad[_i].head, BYTE_LEVEL, "", MERGES, &t, &e), ERR_INPUT, &e,
                 bad[_i].says);
    ck_assert_ptr_null(t);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("tokenizer_normal");
    tcase_add_loop_test(tc, texts_are_normalized, 0, COUNT(cases));
    tcase_add_loop_test(tc, added_tokens_and_pieces, 0, 4);
    tcase_add_loop_test(tc, others_are_refused, 0, COUNT(bad));
    return run_tests("tokenizer_normal", tc);
}
