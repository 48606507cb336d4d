/* tokenizer.json: whatever could change an id and is not supported is refused, with its place and
 * its value; a file as large as released ones is read fast. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/aid/tokenizer_case.h"

#define METASPACE(more)  "{\"type\":\"Metaspace\",\"replacement\":\"_\"" more "}"
#define TEMPLATE(pieces) "{\"type\":\"TemplateProcessing\",\"single\":[" pieces "],\"pair\":[]}"
#define TEXT_A           "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
#define SPECIAL          "{\"SpecialToken\":{\"id\":\"a\",\"type_id\":0}}"

static const struct {
    const char *head, *pre, *model, *merges;
    const char *says; /* NULL: accepted */
} cases[] = {
    {"", BYTE_LEVEL, "", "[]", NULL},
    {"", BYTE_LEVEL, "\"dropout\":null,\"unk_token\":\"a\",\"fuse_unk\":true,", MERGES, NULL},
    {"", BYTE_LEVEL, "\"dropout\":0.0,\"end_of_word_suffix\":\"\",", MERGES, NULL},
    {"\"decoder\":{\"type\":\"X\"},\"truncation\":null,\"padding\":null,\"normalizer\":null,",
     BYTE_LEVEL, "", MERGES, NULL},
    {"\"post_processor\":" TEMPLATE(TEXT_A) ",", BYTE_LEVEL, "", MERGES, NULL},
    {"\"post_processor\":" TEMPLATE(SPECIAL "," TEXT_A "," SPECIAL) ",", BYTE_LEVEL, "", MERGES,
     NULL},
    /* With special tokens left out, these drop the text or repeat it. */
    {"\"post_processor\":" TEMPLATE() ",", BYTE_LEVEL, "", MERGES, "post_processor.single: []"},
    {"\"post_processor\":" TEMPLATE(SPECIAL) ",", BYTE_LEVEL, "", MERGES, "post_processor.single"},
    {"\"post_processor\":" TEMPLATE(TEXT_A "," TEXT_A) ",", BYTE_LEVEL, "", MERGES,
     "post_processor.single"},
    {"\"post_processor\":{\"type\":\"TemplateProcessing\"},", BYTE_LEVEL, "", MERGES,
     "post_processor.single: missing"},
    {"\"post_processor\":{\"type\":\"RobertaProcessing\"},", BYTE_LEVEL, "", MERGES, NULL},
    {"\"post_processor\":{\"type\":\"BertProcessing\"},", BYTE_LEVEL, "", MERGES, NULL},
    {"\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"}]},",
     BYTE_LEVEL, "", MERGES, NULL},
    {"\"post_processor\":{\"type\":\"X\"},", BYTE_LEVEL, "", MERGES,
     "post_processor: {\"type\":\"X\"} is not supported"},
    {"\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"X\"}]},", BYTE_LEVEL,
     "", MERGES, "post_processor.processors[0]: {\"type\":\"X\"}"},
    {"\"normalizer\":{\"type\":\"Nmt\"},", BYTE_LEVEL, "", MERGES,
     "normalizer: {\"type\":\"Nmt\"} is not supported"},
    {"\"surprise\":1,", BYTE_LEVEL, "", MERGES, "file.surprise: 1"},
    {"\"added_tokens\":{},", BYTE_LEVEL, "", MERGES, "added_tokens: {}"},
    {"\"added_tokens\":[1],", BYTE_LEVEL, "", MERGES, "added_tokens[0]: 1"},
    {"\"added_tokens\":[" ADDED(263, "", PLAIN) "],", BYTE_LEVEL, "", MERGES,
     "added_tokens[0].content: \"\""},
    {"\"added_tokens\":[" ADDED(-1, "x", PLAIN) "],", BYTE_LEVEL, "", MERGES,
     "added_tokens[0].id: -1"},
    {"\"added_tokens\":[{\"id\":1,\"content\":\"x\"}],", BYTE_LEVEL, "", MERGES,
     "added_tokens[0].single_word: missing"},
    {"\"added_tokens\":[" ADDED(265, "x", PLAIN) "],", BYTE_LEVEL, "", MERGES,
     "added_tokens[0].id: expected 120, found 265"},
    {"", "null", "", MERGES, NULL},
    {"", "{\"type\":\"Sequence\",\"pretokenizers\":[]}", "", MERGES, NULL},
    {"", "{\"type\":\"Sequence\"}", "", MERGES, "pre_tokenizer.pretokenizers: missing"},
    {"", SEQUENCE("{\"type\":\"Sequence\",\"pretokenizers\":[]}"), "", MERGES,
     "pre_tokenizer.pretokenizers[0]: {\"type\":\"Sequence\""},
    {"", METASPACE(""), "", MERGES, NULL},
    {"", METASPACE(",\"add_prefix_space\":true,\"str_rep\":\"x\""), "", MERGES, NULL},
    {"", METASPACE(",\"prepend_scheme\":\"never\",\"add_prefix_space\":false"), "", MERGES, NULL},
    {"", METASPACE(",\"add_prefix_space\":false"), "", MERGES,
     "pre_tokenizer.prepend_scheme contradicts add_prefix_space"},
    {"", METASPACE(",\"prepend_scheme\":\"First\""), "", MERGES,
     "pre_tokenizer.prepend_scheme: \"First\""},
    {"", METASPACE(",\"split\":1"), "", MERGES, "pre_tokenizer.split: 1"},
    {"", "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", "", MERGES,
     "pre_tokenizer.replacement: \"ab\""},
    {"\"normalizer\":{\"type\":\"NFC\"},", METASPACE(",\"prepend_scheme\":\"first\""), "", MERGES,
     "pre_tokenizer.prepend_scheme with a normalizer"},
    {"", SEQUENCE("{\"type\":\"WhitespaceSplit\"}," METASPACE(",\"prepend_scheme\":\"first\"")), "",
     MERGES, "pre_tokenizer.pretokenizers[1]: {\"type\":\"Metaspace\""},
    {"", SEQUENCE("{\"type\":\"Punctuation\",\"behavior\":\"X\"}"), "", MERGES,
     "pre_tokenizer.pretokenizers[0].behavior: \"X\""},
    {"", SEQUENCE(SPLIT_AS("String", "", "Isolated", "false")), "", MERGES,
     "pretokenizers[0].pattern: {\"String\":\"\"}"},
    {"", SEQUENCE("{\"type\":\"Whitespace\"}"), "", MERGES, "pretokenizers[0]: {\"type\":\"White"},
    {"", SEQUENCE(SPLIT_AS("Regex", "a", "Sideways", "false")), "", MERGES,
     "pre_tokenizer.pretokenizers[0].behavior: \"Sideways\""},
    {"", SEQUENCE(SPLIT_AS("Glob", "a", "Isolated", "false")), "", MERGES,
     "pre_tokenizer.pretokenizers[0].pattern.Glob: \"a\""},
    {"", SEQUENCE(SPLIT_AS("Regex", "\\\\b", "Isolated", "false")), "", MERGES,
     "pretokenizers[0].pattern: an escape at byte 0"},
    {"", SEQUENCE(SPLIT_AS("Regex", "a", "Isolated", "0")), "", MERGES, "invert: 0"},
    {"", "{\"type\":\"ByteLevel\"}", "", MERGES, "pre_tokenizer.add_prefix_space: missing"},
    {"", BYTE_LEVEL, "\"dropout\":0.1,", MERGES, "model.dropout: 0.1"},
    {"", BYTE_LEVEL, "\"byte_fallback\":1,", MERGES, "model.byte_fallback: 1"},
    {"", BYTE_LEVEL, "\"fuse_unk\":null,", MERGES, "model.fuse_unk: null"},
    {"", BYTE_LEVEL, "\"unk_token\":0,", MERGES, "model.unk_token: 0"},
    {"", BYTE_LEVEL, "\"continuing_subword_prefix\":\"##\",", MERGES,
     "model.continuing_subword_prefix: \"##\""},
    {"", BYTE_LEVEL, "\"end_of_word_suffix\":\"</w>\",", MERGES, "model.end_of_word_suffix"},
    {"", BYTE_LEVEL, "\"ignore_merges\":3,", MERGES, "model.ignore_merges: 3"},
    {"", BYTE_LEVEL, "\"surprise\":[],", MERGES, "model.surprise: []"},
    {"", BYTE_LEVEL, "", "{}", "model.merges: {}"},
    {"", BYTE_LEVEL, "", "[\"ab\"]", "model.merges[0]: \"ab\""},
    {"", BYTE_LEVEL, "", "[\"a b c\"]", "model.merges[0]: \"a b c\""},
    {"", BYTE_LEVEL, "", "[[\"a\"]]", "model.merges[0]: [\"a\"]"},
    {"", BYTE_LEVEL, "", "[[\"a\",1]]", "model.merges[0]: [\"a\",1]"},
    {"", BYTE_LEVEL, "", "[\"a b\",[\"ab\",\"c\"]]", "pairs and strings are mixed"},
    {"", BYTE_LEVEL, "", "[\"a b\",\"a z\"]", "model.merges[1]: \"az\" is not in model.vocab"},
    {"", BYTE_LEVEL, "", "[\"a bb\"]", "model.merges[0]: \"bb\" is not in model.vocab"},
    {"", BYTE_LEVEL, "", "[\"aa b\"]", "model.merges[0]: \"aa\" is not in model.vocab"},
};

START_TEST(files_are_judged)
{
    tokenizer *t = NULL;
    err e = {0};
    if (cases[_i].says) {
        expect_error(
            try_make(cases[_i].head, cases[_i].pre, cases[_i].model, cases[_i].merges, &t, &e),
            ERR_INPUT, &e, cases[_i].says);
        ck_assert_ptr_null(t);
    } else {
        expect_ok(
            try_make(cases[_i].head, cases[_i].pre, cases[_i].model, cases[_i].merges, &t, &e), &e);
        tokenizer_free(t);
    }
}
END_TEST

static const struct {
    const char *json;
    const char *says;
} roots[] = {
    {"[]", "file: [] is not supported"},
    {"\xef\xbb\xbf{}", "t.json: begins with a byte order mark"},
    {"{}", "t.json: model: missing"},
    {"{\"version\":\"2.0\"}", "version: \"2.0\""},
    {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[]}}", "model.type: \"Unigram\""},
    {"{\"model\":{}}", "model.vocab: missing"},
    {"{\"model\":{\"vocab\":{}}}", "model.merges: missing"},
    {"{\"model\":{\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]}}", "two tokens have the id 1"},
    {"{\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}", "token \"a\": model.vocab: -1"},
    {"{\"model\":{\"vocab\":{\"a\":2147483648},\"merges\":[]}}", "model.vocab: 2147483648"},
    {"{\"model\":{\"vocab\":{\"a\":1.5},\"merges\":[]}}", "model.vocab: 1.5"},
    {"{\"model\":{\"vocab\":{\"a\":1,\"a\":2},\"merges\":[]}}", "duplicate"},
};

START_TEST(broken_files_are_refused)
{
    tokenizer *t = NULL;
    err e = {0};
    expect_error(tokenizer_create("t.json", roots[_i].json, strlen(roots[_i].json), NULL, &t, &e),
                 ERR_INPUT, &e, roots[_i].says);
    ck_assert_ptr_null(t);
}
END_TEST

static void take_note(void *ctx, const char *text)
{
    snprintf(ctx, 200, "%s", text);
}

/* What fine-tuning left in the file cuts nothing, and a note says so. */
START_TEST(saved_state_is_ignored_with_a_note)
{
    static const struct {
        const char *head, *note;
    } saved[] = {
        {"\"truncation\":null,\"padding\":null,", ""},
        {"\"truncation\":{\"max_length\":2},",
         "tokenizer.json: truncation is ignored; texts are tokenized whole"},
        {"\"padding\":{\"strategy\":{\"Fixed\":9}},",
         "tokenizer.json: padding is ignored; texts are tokenized whole"},
        {"\"truncation\":{\"max_length\":2},\"padding\":{},",
         "tokenizer.json: truncation and padding are ignored; texts are tokenized whole"},
    };
    char note[200] = "";
    char *const text = made_json(saved[_i].head, BYTE_LEVEL, "", MERGES);
    const monitor m = {.note = take_note, .ctx = note};
    tokenizer *t = NULL;
    err e = {0};
    expect_ok(tokenizer_create("t.json", text, strlen(text), &m, &t, &e), &e);
    ck_assert_str_eq(note, saved[_i].note);
    expect_ids(t, "axbycz", "97 120 98 121 99 122");
    tokenizer_free(t);
    free(text);
}
END_TEST

START_TEST(the_last_of_equal_merges_counts)
{
    tokenizer *t = NULL;
    err e = {0};
    expect_ok(try_make("", BYTE_LEVEL, "", "[\"a b\",\"b c\"]", &t, &e), &e);
    expect_ids(t, "abc", "256 99");
    tokenizer_free(t);
    expect_ok(try_make("", BYTE_LEVEL, "", "[\"a b\",\"b c\",\"a b\"]", &t, &e), &e);
    expect_ids(t, "abc", "97 259");
    tokenizer_free(t);
}
END_TEST

/* As large as the file of Ring-mini-linear-2.0: the words are numbers in base 12, and the merges
 * make them digit by digit. */
START_TEST(a_large_file_is_read_fast)
{
    enum { TOKENS = 157000, BASE = 12, WORD_BYTES = 96 };
    char *text = NULL;
    size_t bytes = 0;
    char *const vocab = made_vocab();
    char(*const words)[WORD_BYTES] = calloc(TOKENS, sizeof *words);
    FILE *const f = open_memstream(&text, &bytes);
    ck_assert(vocab && words && f);
    fprintf(f,
            "{\"version\":\"1.0\",\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\","
            "\"ignore_merges\":%s,\"vocab\":{%s",
            _i ? "true" : "false", vocab);
    for (unsigned i = 1; i < TOKENS; i++) {
        /* A word is an earlier word and one more letter. */
        snprintf(words[i], sizeof *words, "%s%c", words[i / BASE], (char)('A' + i % BASE));
        if (i >= BASE) {
            fprintf(f, ",\"%s\":%u", words[i], 263 + i);
        }
    }
    fputs("},\"merges\":[", f);
    for (unsigned i = BASE; i < TOKENS; i++) {
        fprintf(f, "%s[\"%s\",\"%c\"]", i > BASE ? "," : "", words[i / BASE],
                (char)('A' + i % BASE));
    }
    fputs("]}}", f);
    ck_assert_int_eq(fclose(f), 0);
    tokenizer *t = NULL;
    err e = {0};
    const clock_t begin = clock();
    expect_ok(tokenizer_create("t.json", text, bytes, NULL, &t, &e), &e);
    expect_seconds(begin, 1, "a large tokenizer read");
    /* HGKDD: of its pairs, DD is first in the list of merges, then GK. */
    expect_ids(t, words[TOKENS - 1], _i ? "157262" : "72 345 302");
    tokenizer_free(t);
    free(text);
    free(words);
    free(vocab);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("tokenizer_load");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, files_are_judged, 0, COUNT(cases));
    tcase_add_loop_test(tc, broken_files_are_refused, 0, COUNT(roots));
    tcase_add_loop_test(tc, saved_state_is_ignored_with_a_note, 0, 4);
    tcase_add_test(tc, the_last_of_equal_merges_counts);
    tcase_add_loop_test(tc, a_large_file_is_read_fast, 0, 2);
    return run_tests("tokenizer_load", tc);
}
