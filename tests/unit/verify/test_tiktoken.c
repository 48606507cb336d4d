/* tiktoken.model: ranks, the pattern and the reserved tokens in the code, special tokens in
 * tokenizer_config.json; how a model's tokenizer is found; what is refused. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/aid/expect.h"
#include "verify/tokenizer/tokenizer.h"

static const char code_head[] =
    "class TikTokenTokenizer:\n    num_reserved_special_tokens = 256\n    pat_str = \"|\".join([\n";
static const char code_parts[] =
    "r\"\"\"[\\p{Han}]+\"\"\",\n"
    "r\"\"\"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?\"\"\",\n"
    "r\"\"\"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+"
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?\"\"\",\n"
    "r\"\"\"\\p{N}{1,3}\"\"\", r\"\"\" ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*\"\"\", r\"\"\"\\s*[\\r\\n]+\"\"\",\n"
    "r\"\"\"\\s+(?!\\S)\"\"\", r\"\"\"\\s+\"\"\"";
static const char code_tail[] = "])\n f\"<|reserved_token_{i}|>\"\n";

static const char config[] =
    "{\"added_tokens_decoder\":{\"262\":{\"content\":\"[BOS]\"},\"264\":{\"content\":\"<|a\"}},"
    "\"auto_map\":{\"AutoTokenizer\":[\"tokenization_kimi.TikTokenTokenizer\",null]}}";

typedef struct model {
    const char *json, *ranks, *config, *code; /* NULL: there is no such file */
} model;

static err_code read_file(void *ctx, const char *name, char **data, size_t *bytes, err *e)
{
    const model *const m = ctx;
    const char *const text = strcmp(name, "tokenizer.json") == 0          ? m->json
                             : strcmp(name, "tiktoken.model") == 0        ? m->ranks
                             : strcmp(name, "tokenizer_config.json") == 0 ? m->config
                             : strcmp(name, "tokenization_kimi.py") == 0  ? m->code
                                                                          : NULL;
    if (text && strcmp(text, "!") == 0) {
        return err_set(e, ERR_IO, "dir/%s: cannot be read", name);
    }
    *data = text ? strdup(text) : NULL;
    *bytes = text ? strlen(text) : 0;
    return OK;
}

/* The 256 bytes with their values as ranks, then aa, ab, aaa, "aaa b", abc, bc. */
static char *made_ranks(const char *more)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = NULL;
    size_t bytes = 0;
    FILE *const f = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(f);
    for (unsigned byte = 0; byte < 256; byte++) {
        fprintf(f, "%c%c== %u\n", digits[byte >> 2], digits[byte << 4 & 63], byte);
    }
    fprintf(f, "YWE= 256\nYWI= 257\r\nYWFh 258\n\nYWFhIGI= 259\nYWJj 260\nYmM= 261%s", more);
    ck_assert_int_eq(fclose(f), 0);
    return text;
}

static char *made_code(const char *head, const char *parts, const char *tail)
{
    char *text = NULL;
    ck_assert_int_ge(asprintf(&text, "%s%s%s", head, parts, tail), 0);
    return text;
}

static void expect_ids(const tokenizer *t, const char *text, const char *expected)
{
    char found[256] = "";
    size_t used = 0;
    token_list ids = {0};
    err e = {0};
    expect_ok(tokenizer_encode(t, text, strlen(text), NULL, &ids, &e), &e);
    for (size_t i = 0; i < ids.count; i++) {
        used +=
            (size_t)snprintf(found + used, sizeof found - used, "%s%d", i ? " " : "", ids.ids[i]);
    }
    ck_assert_msg(strcmp(found, expected) == 0, "%s: %s", text, found);
    token_list_free(&ids);
}

static const struct {
    const char *text, *ids;
} texts[] = {
    {"", ""},
    {"a", "97"},
    {"aaa", "258"},       /* a word that is a token */
    {"aaaa", "256 256"},  /* the leftmost aa first, then the other one */
    {"aaaaa", "256 258"}, /* two aa, then the last of them with a */
    {"abc", "260"},
    {"xabc", "120 260"},    /* ab comes before bc */
    {"aaa b", "258 32 98"}, /* two words */
    {"abc1234", "260 49 50 51 52"},
    {"[BOS]ab<|a", "262 257 264"},
    {"<|reserved_token_263|>", "263"},
    {"<|reserved_token_262|>",
     "60 124 114 101 115 101 114 118 101 100 95 116 111 107 101 110 95 50 "
     "54 50 124 62"},
    {"<|reserved_token_517|>", "517"},
    {"\xe4\xb8\x80"
     "a",
     "228 184 128 97"},
};

START_TEST(texts_are_encoded)
{
    char *const ranks = made_ranks("");
    char *const code = made_code(code_head, code_parts, code_tail);
    model m = {NULL, ranks, config, code};
    tokenizer *t = NULL;
    err e = {0};
    expect_ok(tokenizer_load("dir", read_file, &m, NULL, &t, &e), &e);
    expect_ids(t, texts[_i].text, texts[_i].ids);
    tokenizer_free(t);
    free(ranks);
    free(code);
}
END_TEST

/* A trailing comma, and the whole pattern as one literal. */
START_TEST(the_pattern_is_recognized)
{
    char *const ranks = made_ranks("\n");
    char *const code = made_code(code_head, code_parts,
                                 ",\n    ])\nnum_reserved_special_tokens + 2 "
                                 "<|reserved_token_{i}|>");
    model m = {NULL, ranks, config, code};
    tokenizer *t = NULL;
    err e = {0};
    expect_ok(tokenizer_load("dir", read_file, &m, NULL, &t, &e), &e);
    expect_ids(t, "<|reserved_token_519|>", "519");
    tokenizer_free(t);
    free(ranks);
    free(code);
}
END_TEST

static const struct {
    const char *head, *parts, *tail, *config, *more, *says;
} bad[] = {
    {code_head, code_parts, code_tail, NULL, "",
     "dir: tiktoken.model: the pattern that splits a text is in the tokenizer's code, and "
     "tokenizer_config.json does not name that"},
    {code_head, code_parts, code_tail, "{\"auto_map\":{\"AutoTokenizer\":\"a/b.C\"}}", "",
     "does not name that"},
    {code_head, code_parts, code_tail, "{\"auto_map\":{\"AutoTokenizer\":\"other.C\"}}", "",
     "and other.py is missing"},
    {code_head, code_parts, code_tail, "{", "", "dir: tokenizer_config.json: "},
    {code_head, code_parts, ", r\"\"\"x\"\"\"])", config, "",
     "dir: tiktoken.model: tokenization_kimi.py: the code has no pattern that octavo knows"},
    {"pat_str = [r\"\"\"x\"\"\", ", code_parts, code_tail, config, "",
     "no pattern that octavo knows"},
    {"", "", "", config, "", "no pattern that octavo knows"},
    {"[", code_parts, code_tail, config, "", "does not say in a known way which ids are special"},
    {code_head, code_parts, code_tail,
     "{\"added_tokens_decoder\":{\"7\":{\"content\":\"x\"}},\"auto_map\":{\"AutoTokenizer\":"
     "\"o--tokenization_kimi.C\"}}",
     "", "added_tokens_decoder: expected ids from 262 to 517, found \"7\""},
    {code_head, code_parts, code_tail,
     "{\"added_tokens_decoder\":{\"300\":{\"content\":\"\"}},\"auto_map\":{\"AutoTokenizer\":"
     "\"tokenization_kimi.C\"}}",
     "", "added_tokens_decoder.300.content: \"\""},
    {code_head, code_parts, code_tail, config, "\nYWE= 262", "line 264: duplicate token"},
    {code_head, code_parts, code_tail, config, "\nYWFhYQ== 261", "two tokens have the id 261"},
    {code_head, code_parts, code_tail, config, "\nYWFhYQ== 263", "are not 0, 1, 2"},
    {code_head, code_parts, code_tail, config, "\nYWFhYQ= 262", "line 264: expected base64"},
    {code_head, code_parts, code_tail, config, "\nYW=h 262", "line 264: expected base64"},
    {code_head, code_parts, code_tail, config, "\n==== 262", "line 264: expected base64"},
    {code_head, code_parts, code_tail, config, "\nYWFh", "line 264: expected base64"},
    {code_head, code_parts, code_tail, config, "\nYWFh 1x", "line 264: expected base64"},
    {code_head, code_parts, code_tail, config, "\nYWFh -1", "line 264: expected base64"},
    {code_head, code_parts, code_tail, config, "\nYWFh 99999999999", "line 264: expected base64"},
    {code_head, code_parts, code_tail, config, "\nYWFhYQ== 2097152", "a rank below 2097152"},
    {code_head, code_parts, code_tail, "!", "", "dir/tokenizer_config.json: cannot be read"},
};

START_TEST(others_are_refused)
{
    char *const ranks = made_ranks(bad[_i].more);
    char *const code = made_code(bad[_i].head, bad[_i].parts, bad[_i].tail);
    model m = {NULL, ranks, bad[_i].config, code};
    tokenizer *t = NULL;
    err e = {0};
    const err_code expected = bad[_i].config && bad[_i].config[0] == '!' ? ERR_IO : ERR_INPUT;
    expect_error(tokenizer_load("dir", read_file, &m, NULL, &t, &e), expected, &e, bad[_i].says);
    ck_assert_ptr_null(t);
    free(ranks);
    free(code);
}
END_TEST

START_TEST(tokenizer_json_comes_first)
{
    model m = {"{\"model\":{\"vocab\":{\"a\":7},\"merges\":[]}}", "!", "!", "!"};
    tokenizer *t = NULL;
    err e = {0};
    expect_ok(tokenizer_load(NULL, read_file, &m, NULL, &t, &e), &e);
    expect_ids(t, "aa", "7 7");
    tokenizer_free(t);
    m.json = "[]";
    expect_error(tokenizer_load("dir", read_file, &m, NULL, &t, &e), ERR_INPUT, &e,
                 "dir: tokenizer.json: file: []");
    e = (err){0};
    m = (model){NULL, NULL, config, NULL};
    expect_ok(tokenizer_load("dir", read_file, &m, NULL, &t, &e), &e);
    ck_assert_ptr_null(t);
}
END_TEST

START_TEST(long_words_take_no_quadratic_time)
{
    enum { BYTES = 1 << 20 };
    char *const ranks = made_ranks("");
    char *const code = made_code(code_head, code_parts, code_tail);
    char *const text = malloc(BYTES);
    model m = {NULL, ranks, config, code};
    tokenizer *t = NULL;
    token_list ids = {0};
    err e = {0};
    ck_assert_ptr_nonnull(text);
    memset(text, 'a', BYTES);
    expect_ok(tokenizer_load("dir", read_file, &m, NULL, &t, &e), &e);
    const clock_t begin = clock();
    expect_ok(tokenizer_encode(t, text, BYTES, NULL, &ids, &e), &e);
    expect_seconds(begin, 5, "a word of 1 MB");
    ck_assert_uint_eq(ids.count, BYTES / 2);
    token_list_free(&ids);
    tokenizer_free(t);
    free(text);
    free(ranks);
    free(code);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("tiktoken");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, texts_are_encoded, 0, COUNT(texts));
    tcase_add_test(tc, the_pattern_is_recognized);
    tcase_add_loop_test(tc, others_are_refused, 0, COUNT(bad));
    tcase_add_test(tc, tokenizer_json_comes_first);
    tcase_add_test(tc, long_words_take_no_quadratic_time);
    return run_tests("tiktoken", tc);
}
