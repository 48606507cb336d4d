#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"
#include "verify/tokenizer/tokenizer_parts.h"

/* The pattern by which GPT-2, and ByteLevel with use_regex, split a text into words. */
static const char gpt2_words[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

err_code tokenizer_read_pattern(const char *path, const json_t *value, char **literal,
                                pattern **regex, err *e)
{
    static const char *const keys[] = {"String", "Regex", NULL};
    TRY(tokenizer_check_keys(path, value, keys, e));
    const char *const text = json_string_value(json_object_get(value, "String"));
    const json_t *const expression = json_object_get(value, "Regex");
    if (json_object_size(value) != 1 || (!(text && *text) && !json_is_string(expression))) {
        return tokenizer_refuse(path, value, e);
    }
    if (text) {
        *literal = strdup(text);
        return *literal ? OK : err_set(e, ERR_MEMORY, "no memory for a pattern");
    }
    const err_code code =
        pattern_compile(json_string_value(expression), json_string_length(expression), regex, e);
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
    TRY(tokenizer_read_pattern(place, json_object_get(value, "pattern"), &out->literal,
                               &out->pattern, e));
    out->literal_bytes = out->literal ? strlen(out->literal) : 0;
    return OK;
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

/* A class of all punctuation, as text that can be compiled. */
static err_code compile_punctuation(pattern **out, err *e)
{
    text_buffer text = {0};
    FILE *const f = text_buffer_stream(&text);
    bool complete = false;
    if (f) {
        fputc('[', f);
        for (size_t i = 0; i < unicode_punctuation_count; i++) {
            fprintf(f, "\\x{%" PRIx32 "}-\\x{%" PRIx32 "}", unicode_punctuation[i].first,
                    unicode_punctuation[i].last);
        }
        fputc(']', f);
        complete = !ferror(f);
        complete = fclose(f) == 0 && complete;
    }
    const err_code code = complete ? pattern_compile(text.text, text.bytes, out, e)
                                   : err_set(e, ERR_MEMORY, "no memory for a pattern");
    text_buffer_free(&text);
    return code;
}

static err_code read_punctuation(const char *path, const json_t *value, split *out, err *e)
{
    static const char *const keys[] = {"type", "behavior", NULL};
    const json_t *const behavior = json_object_get(value, "behavior");
    char place[96];
    TRY(tokenizer_check_keys(path, value, keys, e));
    snprintf(place, sizeof place, "%s.behavior", path);
    out->behavior = SPLIT_ISOLATED;
    if (behavior) {
        TRY(read_behavior(place, behavior, &out->behavior, e));
    }
    return compile_punctuation(&out->pattern, e);
}

static err_code read_white_space(const char *path, const json_t *value, split *out, err *e)
{
    static const char *const keys[] = {"type", NULL};
    static const char spaces[] = "\\s";
    TRY(tokenizer_check_keys(path, value, keys, e));
    out->behavior = SPLIT_REMOVED;
    return pattern_compile(spaces, strlen(spaces), &out->pattern, e);
}

static err_code read_byte_level(const char *path, const json_t *value, split *out, err *e)
{
    static const char *const keys[] = {"type", "add_prefix_space", "trim_offsets", "use_regex",
                                       NULL};
    bool words = false, prefix = false;
    TRY(tokenizer_check_keys(path, value, keys, e));
    TRY(tokenizer_read_flag(path, value, "add_prefix_space", -1, &prefix, e));
    TRY(tokenizer_read_flag(path, value, "use_regex", 1, &words, e));
    out->kind = SPLIT_BYTE_LEVEL;
    out->prepend = prefix ? PREPEND_ALWAYS : PREPEND_NEVER;
    out->behavior = SPLIT_ISOLATED;
    return words ? pattern_compile(gpt2_words, strlen(gpt2_words), &out->pattern, e) : OK;
}

/* prepend_scheme; older files have add_prefix_space instead. */
static err_code read_scheme(const char *path, const json_t *value, split_prepend *out, err *e)
{
    static const char *const names[] = {"never", "first", "always"};
    const json_t *const scheme = json_object_get(value, "prepend_scheme");
    bool prefix = true;
    char place[96];
    snprintf(place, sizeof place, "%s.prepend_scheme", path);
    TRY(tokenizer_read_flag(path, value, "add_prefix_space", 1, &prefix, e));
    *out = PREPEND_ALWAYS;
    if (scheme) {
        const char *const name = json_string_value(scheme);
        size_t i = 0;
        while (i < sizeof names / sizeof *names && !(name && strcmp(names[i], name) == 0)) {
            i++;
        }
        if (i == sizeof names / sizeof *names) {
            return tokenizer_refuse(place, scheme, e);
        }
        *out = (split_prepend)i;
    }
    /* The library does not load such a file either. */
    return !prefix && *out != PREPEND_NEVER
               ? err_set(e, ERR_INPUT, "%s contradicts add_prefix_space: false", place)
               : OK;
}

static err_code read_metaspace(const char *path, const json_t *value, split *out, err *e)
{
    static const char *const keys[] = {
        "type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep", NULL};
    const json_t *const space = json_object_get(value, "replacement");
    const char *const text = json_string_value(space);
    const size_t bytes = json_string_length(space);
    bool words = false;
    TRY(tokenizer_check_keys(path, value, keys, e));
    if (!text || bytes == 0 || utf8_length(text, bytes) != bytes) {
        char place[96];
        snprintf(place, sizeof place, "%s.replacement", path);
        return tokenizer_refuse(place, space, e);
    }
    TRY(read_scheme(path, value, &out->prepend, e));
    TRY(tokenizer_read_flag(path, value, "split", 1, &words, e));
    out->kind = SPLIT_METASPACE;
    out->behavior = SPLIT_WITH_NEXT;
    memcpy(out->space, text, bytes);
    out->literal = words ? strdup(text) : NULL;
    out->literal_bytes = words ? bytes : 0;
    return words && !out->literal ? err_set(e, ERR_MEMORY, "no memory for a pattern") : OK;
}

static err_code read_step(const char *path, const json_t *value, split_list *out, err *e)
{
    static const struct {
        const char *type;
        err_code (*read)(const char *path, const json_t *value, split *out, err *e);
    } steps[] = {{"ByteLevel", read_byte_level}, {"Split", read_split},
                 {"Digits", read_digits},        {"Punctuation", read_punctuation},
                 {"Metaspace", read_metaspace},  {"WhitespaceSplit", read_white_space}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (out->count < TOKENIZER_MAX_STEPS && tokenizer_is_type(value, steps[i].type)) {
            split *const s = &out->splits[out->count++];
            TRY(steps[i].read(path, value, s, e));
            out->byte_level = s->kind == SPLIT_BYTE_LEVEL;
            /* What is the beginning of the text is known only before it is split. */
            return out->count > 1 && s->kind == SPLIT_METASPACE && s->prepend == PREPEND_FIRST
                       ? tokenizer_refuse(path, value, e)
                       : OK;
        }
    }
    return tokenizer_refuse(path, value, e);
}

err_code splits_read(const json_t *value, split_list *out, err *e)
{
    static const char *const keys[] = {"type", "pretokenizers", NULL};
    *out = (split_list){0};
    if (!value || json_is_null(value)) {
        return OK;
    }
    if (!tokenizer_is_type(value, "Sequence")) {
        return read_step("pre_tokenizer", value, out, e);
    }
    const json_t *const list = json_object_get(value, "pretokenizers");
    TRY(tokenizer_check_keys("pre_tokenizer", value, keys, e));
    if (!json_is_array(list)) {
        return tokenizer_refuse("pre_tokenizer.pretokenizers", list, e);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        char path[64];
        snprintf(path, sizeof path, "pre_tokenizer.pretokenizers[%zu]", i);
        TRY(read_step(path, json_array_get(list, i), out, e));
    }
    return OK;
}

void splits_free(split_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        pattern_free(list->splits[i].pattern);
        free(list->splits[i].literal);
    }
    *list = (split_list){0};
}
