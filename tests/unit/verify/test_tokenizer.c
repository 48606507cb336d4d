/* Tokens of a text: merges, splits, added tokens, and every text of the goldens. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "format/file/io.h"
#include "format/json/json.h"
#include "tests/aid/tokenizer_case.h"

static const struct {
    const char *pre;
    const char *text;
    const char *ids;
} splits[] = {
    {BYTE_LEVEL, "", ""},
    {BYTE_LEVEL, "a", "97"},
    {BYTE_LEVEL, "abcd", "257 100"}, /* "ab c" comes before "c d" */
    {BYTE_LEVEL, "xab ab", "120 256 262"},
    {BYTE_LEVEL, "bcd", "259 100"},
    {BYTE_LEVEL, "\xc3\xa9", "195 169"},
    {SEQUENCE(SPLIT_AS("Regex", "c", "Isolated", "false")), "abcd", "256 99 100"},
    {SEQUENCE(SPLIT_AS("Regex", "c", "Removed", "false")), "abcdc", "256 100"},
    {SEQUENCE(SPLIT_AS("Regex", "c", "Removed", "true")), "abcdc", "99 99"},
    {SEQUENCE(SPLIT_AS("Regex", "b", "MergedWithPrevious", "false")), "bbabcd", "98 98 256 260"},
    {SEQUENCE(SPLIT_AS("Regex", "b", "MergedWithNext", "false")), "abbcdb", "97 98 259 100 98"},
    {SEQUENCE(SPLIT_AS("Regex", "[ab]", "Contiguous", "false")), "abcdab", "256 260 256"},
    {SEQUENCE(SPLIT_AS("Regex", "[ab]", "Isolated", "false")), "abcd", "97 98 260"},
    {SEQUENCE(SPLIT_AS("String", ".", "Isolated", "false")), "ab.c", "256 46 99"},
    {SEQUENCE(SPLIT_AS("String", "a", "Isolated", "false") "," SPLIT_AS("String", "c", "Isolated",
                                                                        "false")),
     "abcd", "97 98 99 100"},
    {SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":true}"), "a12", "97 49 50"},
    {SEQUENCE("{\"type\":\"Punctuation\"}"), "ab..", "256 46 46"},
    {SEQUENCE("{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}"), "ab+.c", "256 43 46 99"},
    {SEQUENCE("{\"type\":\"Punctuation\",\"behavior\":\"Removed\"}"), "a.b\xe2\x80\x94\xd8\x9d",
     "97 98 216 157"}, /* U+061D is punctuation since Unicode 14 */
    {SEQUENCE("{\"type\":\"WhitespaceSplit\"}"),
     " ab \xe3\x80\x80"
     "cd\n",
     "256 260"},
    /* Without ByteLevel, words are characters. */
    {"null", "ab cd",
     "error: the vocabulary has no token for the character with the UTF-8 bytes 20, and none for "
     "unknown characters"},
    {"null", "abcd", "257 100"},
    {"{\"type\":\"Metaspace\",\"replacement\":\"\\u0120\"}", "ab ab", "262 262"},
    {"{\"type\":\"Metaspace\",\"replacement\":\"\\u0120\"}",
     "\xc4\xa0"
     "ab",
     "262"},
    {"{\"type\":\"Metaspace\",\"replacement\":\"\\u0120\"}", " ab", "262"},
    {"{\"type\":\"Metaspace\",\"replacement\":\"\\u0120\",\"prepend_scheme\":\"never\"}", "ab ab",
     "256 262"},
    {"{\"type\":\"Metaspace\",\"replacement\":\"a\",\"split\":true,\"prepend_scheme\":\"never\"}",
     "b bc", "98 257"},
    {"{\"type\":\"Metaspace\",\"replacement\":\"c\",\"split\":false,\"prepend_scheme\":\"never\"}",
     "ab b", "257 98"},
    /* Steps after ByteLevel see letters: the second byte of U+00F2 is spelled U+00B2, a digit. */
    {"{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL
     ",{\"type\":\"Digits\",\"individual_digits\":true}," SPLIT_AS("String", "\\u0120", "Removed",
                                                                   "false") "]}",
     "ab \xc3\xb2"
     "a1",
     "256 195 178 97 49"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "ab ab", "262 262"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", " ab", "262"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "", ""},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}", "ab  ab", "256 32 262"},
};

START_TEST(splits_cut_words)
{
    tokenizer *const t = make("", splits[_i].pre, "");
    expect_ids(t, splits[_i].text, splits[_i].ids);
    tokenizer_free(t);
}
END_TEST

static const struct {
    const char *tokens;
    const char *text;
    const char *ids;
} added[] = {
    {ADDED(257, "abc", PLAIN), "xabcab", "120 257 256"},
    {ADDED(98, "b", PLAIN) "," ADDED(263, "bcd", PLAIN), "abcdbc", "97 263 98 99"},
    {ADDED(263, "<s>", FLAGS(true, false, false, false)), "a<s> <s> <s>a",
     "97 60 115 62 32 263 32 60 115 62 97"},
    {ADDED(35, "#", FLAGS(false, true, true, false)), "a \xe3\x80\x80#\n b", "97 35 98"},
    {ADDED(35, "#", FLAGS(false, false, true, false)), "# #", "35 35"},
    {ADDED(35, "#", FLAGS(false, true, false, false)), " # #", "35 35"},
    /* The space is taken by rstrip and still found, as the library does it. */
    {ADDED(263, " ", PLAIN) "," ADDED(35, "#", FLAGS(false, false, true, false)), "#  a",
     "35 263 263 97"},
    {ADDED(263, " ", FLAGS(false, true, false, false)) "," ADDED(35, "#",
                                                                 FLAGS(false, false, true, false)),
     "# a  ", "35 97 263 263"},
    /* Tokens that are not normalized are matched first, wherever they occur. */
    {ADDED(257, "abc", FLAGS(false, false, false, true)) "," ADDED(260, "cd", PLAIN), "abcdabc",
     "256 260 257"},
    {ADDED(97, "a", PLAIN), "ab", "97 98"},
    {ADDED(263, "ab", PLAIN), "", NULL},
    {ADDED(300, "xx", PLAIN), "", NULL},
    {ADDED(12, "xx", PLAIN), "", NULL},
    {ADDED(263, "xx", PLAIN) "," ADDED(264, "xx", PLAIN), "", NULL},
    {ADDED(97, "a", PLAIN) "," ADDED(97, "a", FLAGS(false, false, false, true)), "", NULL},
};

START_TEST(added_tokens_come_first)
{
    char head[512];
    tokenizer *t = NULL;
    err e = {0};
    snprintf(head, sizeof head, "\"added_tokens\":[%s],", added[_i].tokens);
    if (added[_i].ids) {
        t = make(head, BYTE_LEVEL, "");
        expect_ids(t, added[_i].text, added[_i].ids);
    } else {
        expect_error(try_make(head, BYTE_LEVEL, "", MERGES, &t, &e), ERR_INPUT, &e,
                     "t.json: added_tokens");
    }
    tokenizer_free(t);
}
END_TEST

START_TEST(whole_words_are_not_split)
{
    tokenizer *t = make("", BYTE_LEVEL, "\"ignore_merges\":false,");
    expect_ids(t, "abcd", "257 100");
    tokenizer_free(t);
    t = make("", BYTE_LEVEL, "\"ignore_merges\":true,");
    expect_ids(t, "abcd", "261");
    expect_ids(t, "abcda", "257 100 97");
    expect_ids(t, "\xff", "error: the text is not UTF-8: byte 0xff at offset 0");
    tokenizer_free(t);
}
END_TEST

START_TEST(bytes_without_a_token_are_refused)
{
    static const char json[] =
        "{\"pre_tokenizer\":" BYTE_LEVEL
        ",\"model\":{\"vocab\":{\"a\":7,\"b\":2147483647,\"ab\":3},\"merges\":[[\"a\",\"b\"]]}}";
    tokenizer *t = NULL;
    err e = {0};
    expect_ok(tokenizer_create("t.json", json, sizeof json - 1, NULL, &t, &e), &e);
    expect_ids(t, "aabb", "7 3 2147483647");
    expect_ids(t, "abc",
               "error: the vocabulary has no token for the character with the UTF-8 bytes 63, and "
               "none for unknown characters");
    tokenizer_free(t);
}
END_TEST

/* The vocabulary has a, b, <unk> = 9, the tokens of the bytes C3 and A9, and the merge of <unk> and a
 * as 8. */
static const struct {
    const char *model, *text, *ids;
} unknown[] = {
    {"\"unk_token\":\"<unk>\",\"byte_fallback\":true,",
     "a\xc3\xa9"
     "b",
     "0 3 4 1"},
    {"\"unk_token\":\"<unk>\",\"byte_fallback\":true,",
     "ax\xc3\xa9"
     "b",
     "0 3 4 9 1"},
    {"\"unk_token\":\"<unk>\",\"byte_fallback\":true,",
     "b\xc3\xaa"
     "b",
     "1 9 1"},
    {"\"unk_token\":\"<unk>\",", "b\xc3\xa9x", "1 9 9"},
    {"\"unk_token\":\"<unk>\",\"fuse_unk\":true,", "b\xc3\xa9xb", "1 9 1"},
    {"\"unk_token\":\"<unk>\",", "bxa", "1 8"},
    {"\"byte_fallback\":true,", "\xc3\xa9", "3 4"},
    {"\"byte_fallback\":true,", "ax",
     "error: the vocabulary has no token for the character with the "
     "UTF-8 bytes 78, and none for unknown characters"},
    {"\"unk_token\":\"<none>\",", "ax",
     "error: the vocabulary has no token for the character with the "
     "UTF-8 bytes 78, and none for unknown characters"},
    {"\"unk_token\":\"<none>\",", "ab", "0 1"},
    {"\"ignore_merges\":true,", "<unk>a", "8"},
};

START_TEST(unknown_characters_become_bytes_or_unk)
{
    char json[512];
    tokenizer *t = NULL;
    err e = {0};
    snprintf(json, sizeof json,
             "{\"model\":{%s\"vocab\":{\"a\":0,\"b\":1,\"<unk>\":9,\"<0xC3>\":3,\"<0xA9>\":4,"
             "\"<unk>a\":8},\"merges\":[[\"<unk>\",\"a\"]]}}",
             unknown[_i].model);
    expect_ok(tokenizer_create("t.json", json, strlen(json), NULL, &t, &e), &e);
    expect_ids(t, unknown[_i].text, unknown[_i].ids);
    tokenizer_free(t);
}
END_TEST

/* prepend_scheme first: only what begins the text gets a space. */
START_TEST(the_first_piece_gets_a_space)
{
    tokenizer *const t = make(
        "\"added_tokens\":[" ADDED(35, "#", PLAIN) "],",
        "{\"type\":\"Metaspace\",\"replacement\":\"\\u0120\",\"prepend_scheme\":\"first\"}", "");
    expect_ids(t, "ab", "262");
    expect_ids(t, "ab#ab", "262 35 256");
    expect_ids(t, "#ab", "35 256");
    expect_ids(t, "# ab", "35 262");
    tokenizer_free(t);
}
END_TEST

START_TEST(texts_that_are_not_utf8_are_refused)
{
    tokenizer *const t = make("", BYTE_LEVEL, "");
    expect_ids(t, "ab\xc3", "error: the text is not UTF-8: byte 0xc3 at offset 2");
    expect_ids(t, "\xed\xa0\x80", "error: the text is not UTF-8: byte 0xed at offset 0");
    char *const shown = ids_of(t, "a\0b", 3);
    ck_assert_str_eq(shown, "97 0 98");
    free(shown);
    tokenizer_free(t);
}
END_TEST

/* The merging of the heap, done by searching the word again after each merge. */
static size_t merge_slowly(int32_t *ids, size_t count)
{
    static const int32_t merges[][3] = {{32, 97, 258}, {97, 98, 256},  {256, 99, 257},
                                        {98, 99, 259}, {99, 100, 260}, {256, 260, 261},
                                        {258, 98, 262}};
    for (int m = 0; m < COUNT(merges); m++) {
        for (size_t i = 0; i + 1 < count; i++) {
            if (ids[i] == merges[m][0] && ids[i + 1] == merges[m][1]) {
                ids[i] = merges[m][2];
                memmove(ids + i + 1, ids + i + 2, (count - i - 2) * sizeof *ids);
                count--;
                m = -1; /* start over with the first merge in the list */
                break;
            }
        }
    }
    return count;
}

START_TEST(random_words_agree_with_the_slow_way)
{
    enum { LENGTH = 40 };
    tokenizer *const t = make("", BYTE_LEVEL, "");
    unsigned seed = (unsigned)random_seed(_i);
    for (int round = 0; round < 20000; round++) {
        char text[LENGTH + 1];
        int32_t expected[LENGTH];
        token_list ids = {0};
        const size_t bytes = (size_t)(rand_r(&seed) % LENGTH);
        for (size_t i = 0; i < bytes; i++) {
            text[i] = "abcd "[rand_r(&seed) % 5];
            expected[i] = (unsigned char)text[i];
        }
        expect_ok(tokenizer_encode(t, text, bytes, NULL, &ids, NULL), NULL);
        ck_assert_uint_eq(ids.count, merge_slowly(expected, bytes));
        if (ids.count) {
            ck_assert_int_eq(memcmp(ids.ids, expected, ids.count * sizeof *ids.ids), 0);
        }
        token_list_free(&ids);
    }
    tokenizer_free(t);
}
END_TEST

/* Quadratic code would take hours. */
START_TEST(long_words_take_no_quadratic_time)
{
    enum { BYTES = 4 << 20 };
    tokenizer *const t = make("", _i ? "null" : BYTE_LEVEL, "");
    char *const text = malloc(BYTES);
    ck_assert_ptr_nonnull(text);
    for (int i = 0; i < BYTES; i++) {
        text[i] = "abcdab"[i % 6];
    }
    const clock_t begin = clock();
    token_list ids = {0};
    err e = {0};
    expect_ok(tokenizer_encode(t, text, BYTES, NULL, &ids, &e), &e);
    printf("%d bytes in one word: %zu ids, %.2f s\n", BYTES, ids.count,
           (double)(clock() - begin) / CLOCKS_PER_SEC);
    ck_assert_uint_gt(ids.count, BYTES / 3);
    token_list_free(&ids);
    free(text);
    tokenizer_free(t);
}
END_TEST

static bool is_cancelled(void *ctx)
{
    unsigned *const left = ctx;
    return *left == 0 || --*left == 0;
}

/* Words, one long word of bytes or of characters, and a long text to normalize. */
START_TEST(encoding_can_be_cancelled)
{
    enum { BYTES = 1 << 20 };
    static const struct {
        const char *head, *pre, *letters;
        unsigned looks; /* before it is cancelled */
    } ways[] = {{"", SEQUENCE(SPLIT_AS("Regex", "c", "Isolated", "false")), "abc", 1},
                {"", BYTE_LEVEL, "abcdab", 1},
                {"", BYTE_LEVEL, "abcdab", 8},
                {"", "null", "dcba", 5},
                {"\"normalizer\":{\"type\":\"NFC\"},", BYTE_LEVEL, "abc", 1}};
    char *const text = malloc(BYTES);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < BYTES; i++) {
        text[i] = ways[_i].letters[i % strlen(ways[_i].letters)];
    }
    tokenizer *const t = make(ways[_i].head, ways[_i].pre, "");
    unsigned left = ways[_i].looks;
    const monitor m = {.cancelled = is_cancelled, .ctx = &left};
    token_list ids = {0};
    err e = {0};
    expect_error(tokenizer_encode(t, text, BYTES, &m, &ids, &e), ERR_CANCELLED, &e, "interrupted");
    token_list_free(&ids);
    tokenizer_free(t);
    free(text);
}
END_TEST

/* The vocabulary, the merges and the added tokens ask, each at its first element. */
START_TEST(reading_can_be_cancelled)
{
    static const char json[] =
        "{\"version\":\"1.0\",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
        "\"trim_offsets\":true,\"use_regex\":false},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,"
        "\"b\":1,\"ab\":2},\"merges\":[\"a b\"]},\"added_tokens\":[{\"id\":3,\"content\":\"c\","
        "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
        "\"special\":false}]}";
    tokenizer *t = NULL;
    err e = {0};
    unsigned left = (unsigned)_i;
    const monitor m = {.cancelled = is_cancelled, .ctx = &left};
    if (_i <= 3) {
        expect_error(tokenizer_create("t", json, strlen(json), &m, &t, &e), ERR_CANCELLED, &e,
                     "interrupted");
    } else {
        expect_ok(tokenizer_create("t", json, strlen(json), &m, &t, &e), &e);
    }
    tokenizer_free(t);
}
END_TEST

static void check_golden(const char *tokenizer_path, const char *golden_path)
{
    char *json = NULL;
    size_t bytes = 0;
    json_t *golden = NULL;
    tokenizer *t = NULL;
    err e = {0};
    expect_ok(io_read_file(tokenizer_path, JSON_FILE_LIMIT, &json, &bytes, &e), &e);
    expect_ok(json_parse_file(golden_path, JSON_EXACT, &golden, &e), &e);
    expect_ok(tokenizer_create(tokenizer_path, json, bytes, NULL, &t, &e), &e);
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(golden, i, item)
    {
        const json_t *const text = json_object_get(item, "text");
        const json_t *const expected = json_object_get(item, "ids");
        token_list ids = {0};
        expect_ok(
            tokenizer_encode(t, json_string_value(text), json_string_length(text), NULL, &ids, &e),
            &e);
        ck_assert_msg(ids.count == json_array_size(expected), "text %zu: %zu ids", i, ids.count);
        for (size_t k = 0; k < ids.count; k++) {
            ck_assert_int_eq(ids.ids[k], json_integer_value(json_array_get(expected, k)));
        }
        token_list_free(&ids);
    }
    printf("%s: %zu texts\n", golden_path, i);
    ck_assert_uint_ge(i, 40);
    tokenizer_free(t);
    json_decref(golden);
    free(json);
}

START_TEST(goldens_are_reproduced)
{
    char paths[2][512];
    const char *const data = getenv("TESTDATA");
    ck_assert_ptr_nonnull(data);
    snprintf(paths[0], sizeof paths[0], "%s/ring-micro-linear/tokenizer.json", data);
    snprintf(paths[1], sizeof paths[1], "%s/golden/ring-micro-linear/tokenizer_golden.json", data);
    check_golden(paths[0], paths[1]);
}
END_TEST

START_TEST(goldens_of_other_models_are_reproduced)
{
    char paths[2][512];
    struct stat st;
    const char *const given = getenv("OCTAVO_MODELS");
    const char *const root = getenv("ROOT");
    const char *const models = given ? given : "../shared/models";
    const char *const base = given || !root ? "" : root;
    static const char *const names[] = {"tokenizer.json", "tokenizer_golden.json"};
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "%s%s%s/ring-nano-linear/%s", base, *base ? "/" : "",
                 models, names[i]);
    }
    if (stat(paths[1], &st) != 0) {
        printf("skipped: no %s\n", paths[1]);
        return;
    }
    check_golden(paths[0], paths[1]);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("tokenizer");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, splits_cut_words, 0, COUNT(splits));
    tcase_add_loop_test(tc, added_tokens_come_first, 0, COUNT(added));
    tcase_add_test(tc, whole_words_are_not_split);
    tcase_add_test(tc, bytes_without_a_token_are_refused);
    tcase_add_loop_test(tc, unknown_characters_become_bytes_or_unk, 0, COUNT(unknown));
    tcase_add_test(tc, the_first_piece_gets_a_space);
    tcase_add_test(tc, texts_that_are_not_utf8_are_refused);
    tcase_add_loop_test(tc, random_words_agree_with_the_slow_way, 0, 3);
    tcase_add_loop_test(tc, long_words_take_no_quadratic_time, 0, 2);
    tcase_add_loop_test(tc, encoding_can_be_cancelled, 0, 5);
    tcase_add_loop_test(tc, reading_can_be_cancelled, 1, 5);
    tcase_add_test(tc, goldens_are_reproduced);
    tcase_add_test(tc, goldens_of_other_models_are_reproduced);
    return run_tests("tokenizer", tc);
}
