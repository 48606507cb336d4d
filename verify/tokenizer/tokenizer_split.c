#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"
#include "verify/tokenizer/tokenizer_parts.h"

/* ---- reading --------------------------------------------------- */

/* The pattern by which GPT-2, and ByteLevel with use_regex, split a text into words. */
static const char gpt2_words[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

err_code tokenizer_read_pattern(const char *path, const json_t *value, pattern **out, err *e)
{
    static const char *const keys[] = {"String", "Regex", NULL};
    TRY(tokenizer_check_keys(path, value, keys, e));
    const json_t *const literal = json_object_get(value, "String");
    const json_t *const regex = json_object_get(value, "Regex");
    const json_t *const text = literal ? literal : regex;
    if (json_object_size(value) != 1 || !json_is_string(text)) {
        return tokenizer_refuse(path, value, e);
    }
    const err_code code = (literal ? pattern_literal : pattern_compile)(
        json_string_value(text), json_string_length(text), out, e);
    if (code != OK) {
        err_prefix(e, "%s", path);
    }
    return code;
}

static err_code read_behavior(const char *path, const json_t *value, split_behavior *out, err *e)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *const name = json_string_value(value);
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (split_behavior)i;
            return OK;
        }
    }
    return tokenizer_refuse(path, value, e);
}

static err_code read_split(const char *path, const json_t *value, split *out, err *e)
{
    static const char *const keys[] = {"type", "pattern", "behavior", "invert", NULL};
    char place[96];
    TRY(tokenizer_check_keys(path, value, keys, e));
    TRY(tokenizer_read_flag(path, value, "invert", -1, &out->invert, e));
    snprintf(place, sizeof place, "%s.behavior", path);
    TRY(read_behavior(place, json_object_get(value, "behavior"), &out->behavior, e));
    snprintf(place, sizeof place, "%s.pattern", path);
    return tokenizer_read_pattern(place, json_object_get(value, "pattern"), &out->pattern, e);
}

/* \p{N} of Unicode 17: for Digits the library uses a newer table than for patterns. */
#define NUMBERS "[\\p{N}\\x{11de0}-\\x{11de9}]"

static err_code read_digits(const char *path, const json_t *value, split *out, err *e)
{
    static const char *const keys[] = {"type", "individual_digits", NULL};
    bool each = false;
    TRY(tokenizer_check_keys(path, value, keys, e));
    TRY(tokenizer_read_flag(path, value, "individual_digits", -1, &each, e));
    const char *const numbers = each ? NUMBERS : NUMBERS "+";
    out->behavior = SPLIT_ISOLATED;
    return pattern_compile(numbers, strlen(numbers), &out->pattern, e);
}

static err_code read_byte_level(const char *path, const json_t *value, split *out, err *e)
{
    static const char *const keys[] = {"type", "add_prefix_space", "trim_offsets", "use_regex",
                                       NULL};
    bool words = false;
    TRY(tokenizer_check_keys(path, value, keys, e));
    TRY(tokenizer_read_flag(path, value, "add_prefix_space", -1, &out->prefix_space, e));
    TRY(tokenizer_read_flag(path, value, "use_regex", 1, &words, e));
    if (!words) {
        return OK;
    }
    out->behavior = SPLIT_ISOLATED;
    return pattern_compile(gpt2_words, strlen(gpt2_words), &out->pattern, e);
}

/* ByteLevel turns bytes into the letters of the vocabulary: it is required, and must be last. */
static err_code read_step(const char *path, const json_t *value, bool last, split_list *out, err *e)
{
    split *const s = &out->splits[out->count];
    const bool byte_level = tokenizer_is_type(value, "ByteLevel");
    if (out->count == TOKENIZER_MAX_STEPS || byte_level != last) {
        return tokenizer_refuse(path, value, e);
    }
    out->count++;
    if (byte_level) {
        return read_byte_level(path, value, s, e);
    }
    if (tokenizer_is_type(value, "Split")) {
        return read_split(path, value, s, e);
    }
    if (tokenizer_is_type(value, "Digits")) {
        return read_digits(path, value, s, e);
    }
    return tokenizer_refuse(path, value, e);
}

err_code splits_read(const json_t *value, split_list *out, err *e)
{
    static const char *const keys[] = {"type", "pretokenizers", NULL};
    *out = (split_list){0};
    if (!tokenizer_is_type(value, "Sequence")) {
        return read_step("pre_tokenizer", value, true, out, e);
    }
    const json_t *const list = json_object_get(value, "pretokenizers");
    const size_t count = json_array_size(list);
    TRY(tokenizer_check_keys("pre_tokenizer", value, keys, e));
    if (count == 0) {
        return tokenizer_refuse("pre_tokenizer.pretokenizers", list, e);
    }
    for (size_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "pre_tokenizer.pretokenizers[%zu]", i);
        TRY(read_step(path, json_array_get(list, i), i + 1 == count, out, e));
    }
    return OK;
}

void splits_free(split_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        pattern_free(list->splits[i].pattern);
    }
    *list = (split_list){0};
}

/* ---- splitting ------------------------------------------------- */

/* One pass through all splits, depth first: each piece goes to the next split as soon as it is
 * complete, so that no list of pieces is needed. */
typedef struct split_run {
    const split_list *list;
    pattern_scratch *scratch;
    split_fn take;
    void *ctx;
} split_run;

static err_code run_split(const split_run *r, size_t number, const char *text, size_t bytes,
                          err *e);

/* The pieces that one split makes of one text. The last piece is held back: what follows may be
 * joined to it. */
typedef struct pieces {
    const split_run *run;
    size_t number; /* of the split */
    const char *text;
    size_t first, last; /* the piece that is held back; empty: none */
    bool was_match;     /* what was added last was a match */
} pieces;

static err_code pieces_flush(pieces *p, err *e)
{
    const size_t bytes = p->last - p->first;
    return bytes ? run_split(p->run, p->number + 1, p->text + p->first, bytes, e) : OK;
}

/* Add the next range of the text: a match of the pattern, or the text between two matches. */
static err_code pieces_add(pieces *p, size_t first, size_t last, bool match, err *e)
{
    const split *const s = &p->run->list->splits[p->number];
    match = match != s->invert;
    const bool joins =
        p->last > p->first && ((s->behavior == SPLIT_WITH_PREVIOUS && match && !p->was_match) ||
                               (s->behavior == SPLIT_WITH_NEXT && !match && p->was_match) ||
                               (s->behavior == SPLIT_CONTIGUOUS && match == p->was_match));
    p->was_match = match;
    if (joins) {
        p->last = last;
        return OK;
    }
    TRY(pieces_flush(p, e));
    const bool removed = s->behavior == SPLIT_REMOVED && match;
    p->first = first;
    p->last = removed ? first : last;
    return OK;
}

static err_code split_by_pattern(const split_run *r, size_t number, const char *text, size_t bytes,
                                 err *e)
{
    pieces p = {.run = r, .number = number, .text = text};
    size_t between = 0;
    for (size_t at = 0; at < bytes;) {
        size_t end = 0;
        TRY(pattern_match(r->list->splits[number].pattern, r->scratch, text, bytes, at, &end, e));
        if (end == 0) {
            at += utf8_length(text + at, bytes - at);
            continue;
        }
        if (between < at) {
            TRY(pieces_add(&p, between, at, false, e));
        }
        TRY(pieces_add(&p, at, end, true, e));
        at = between = end;
    }
    if (between < bytes) {
        TRY(pieces_add(&p, between, bytes, false, e));
    }
    return pieces_flush(&p, e);
}

static err_code split_prefixed(const split_run *r, size_t number, const char *text, size_t bytes,
                               err *e)
{
    char *const copy = malloc(bytes + 1);
    if (!copy) {
        return err_set(e, ERR_MEMORY, "no memory for a text of %zu bytes", bytes);
    }
    copy[0] = ' ';
    memcpy(copy + 1, text, bytes);
    const err_code code = run_split(r, number, copy, bytes + 1, e);
    free(copy);
    return code;
}

static err_code run_split(const split_run *r, size_t number, const char *text, size_t bytes, err *e)
{
    if (number == r->list->count) {
        return r->take(r->ctx, text, bytes, e);
    }
    const split *const s = &r->list->splits[number];
    if (s->prefix_space && *text != ' ') {
        return split_prefixed(r, number, text, bytes, e);
    }
    return s->pattern ? split_by_pattern(r, number, text, bytes, e)
                      : run_split(r, number + 1, text, bytes, e);
}

err_code splits_run(const split_list *list, pattern_scratch *scratch, const char *text,
                    size_t bytes, split_fn take, void *ctx, err *e)
{
    const split_run r = {list, scratch, take, ctx};
    return bytes ? run_split(&r, 0, text, bytes, e) : OK;
}
