/* Tokenizers for tests: a small tokenizer.json that can be varied, and the ids of texts.
 *
 *     tokenizer *t = make("\"added_tokens\":[...],", SPLIT("\\\\s"), "\"ignore_merges\":true,");
 *     expect_ids(t, "ab cd", "7 3 1");
 *     tokenizer_free(t);
 *
 * The vocabulary has the 256 bytes with their values as ids, and a few merges: "ab" 256, "abc" 257,
 * " a" 258, "bc" 259, "cd" 260, "abcd" 261 (ab + cd), " ab" 262. */
#ifndef TOKENIZER_CASE_H
#define TOKENIZER_CASE_H

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/expect.h"
#include "verify/tokenizer/tokenizer.h"

#define BYTE_LEVEL                                                                                 \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"                    \
    "\"use_regex\":false}"
#define SEQUENCE(first) "{\"type\":\"Sequence\",\"pretokenizers\":[" first "," BYTE_LEVEL "]}"
#define SPLIT_AS(kind, pattern, behavior, invert)                                                  \
    "{\"type\":\"Split\",\"pattern\":{\"" kind "\":\"" pattern "\"},\"behavior\":\"" behavior      \
    "\",\"invert\":" invert "}"
#define ADDED(id, content, flags)                                                                  \
    "{\"id\":" #id ",\"content\":\"" content "\"," flags ",\"special\":false}"
#define FLAGS(single, left, right, normal)                                                         \
    "\"single_word\":" #single ",\"lstrip\":" #left ",\"rstrip\":" #right ",\"normalized\""        \
    ":" #normal
#define PLAIN FLAGS(false, false, false, false)

#define MERGES "[\"\\u0120 a\",\"a b\",\"ab c\",\"b c\",\"c d\",\"ab cd\",\"\\u0120a b\"]"

/* The vocabulary without its braces. */
static inline char *made_vocab(void)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *const f = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(f);
    unsigned other = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        const bool printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
        fprintf(f, "\"\\u%04x\":%u,", printable ? byte : other++, byte);
    }
    fputs("\"ab\":256,\"abc\":257,\"\\u0120a\":258,\"bc\":259,\"cd\":260,\"abcd\":261,"
          "\"\\u0120ab\":262",
          f);
    ck_assert_int_eq(fclose(f), 0);
    return text;
}

/* The text of a file. `head`: members of the root, each followed by a comma; `model`: likewise, of
 * the model. */
static inline char *made_json(const char *head, const char *pre, const char *model,
                              const char *merges)
{
    char *text = NULL;
    char *const vocab = made_vocab();
    ck_assert_int_gt(asprintf(&text,
                              "{\"version\":\"1.0\",%s\"pre_tokenizer\":%s,\"model\":{\"type\":"
                              "\"BPE\",%s\"vocab\":{%s},\"merges\":%s}}",
                              head, pre, model, vocab, merges),
                     0);
    free(vocab);
    return text;
}

static inline err_code try_make(const char *head, const char *pre, const char *model,
                                const char *merges, tokenizer **out, err *e)
{
    char *const text = made_json(head, pre, model, merges);
    const err_code code = tokenizer_create("t.json", text, strlen(text), NULL, out, e);
    free(text);
    return code;
}

static inline tokenizer *make(const char *head, const char *pre, const char *model)
{
    tokenizer *t = NULL;
    err e = {0};
    expect_ok(try_make(head, pre, model, MERGES, &t, &e), &e);
    return t;
}

/* Ids as text, "1 2 3", or "error: ..."; free() it. */
static inline char *ids_of(const tokenizer *t, const char *text, size_t bytes)
{
    char *shown = NULL;
    size_t shown_bytes = 0;
    token_list list = {0};
    err e = {0};
    FILE *const f = open_memstream(&shown, &shown_bytes);
    ck_assert_ptr_nonnull(f);
    if (tokenizer_encode(t, text, bytes, NULL, &list, &e) != OK) {
        fprintf(f, "error: %s", e.text);
    }
    for (size_t i = 0; e.code == OK && i < list.count; i++) {
        fprintf(f, "%s%d", i ? " " : "", list.ids[i]);
    }
    ck_assert_int_eq(fclose(f), 0);
    token_list_free(&list);
    return shown;
}

#define expect_ids(t, text, expected)                                                              \
    do {                                                                                           \
        char *const expect_shown = ids_of(t, text, strlen(text));                                  \
        ck_assert_msg(strcmp(expect_shown, expected) == 0, "'%s': expected %s, found %s", text,    \
                      expected, expect_shown);                                                     \
        free(expect_shown);                                                                        \
    } while (0)

#endif
