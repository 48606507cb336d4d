#include "verify/tokenizer/pattern_translate.h"

#include <stdlib.h>
#include <string.h>

#include "verify/tokenizer/pattern.h"
#include "verify/tokenizer/text_buffer.h"

/* When it ignores case, Oniguruma lets some pairs of letters match a ligature; PCRE2 does not. */
static bool is_ligature(uint32_t before, uint32_t point)
{
    static const char pairs[] = "ff\nfi\nfl\nss\nst"; /* | 32 never makes a line end */
    const char pair[] = {(char)(before | 32), (char)(point | 32), '\0'};
    return before && point < 0x80 && strstr(pairs, pair) != NULL;
}

static err_code translate_literal(translation *t, const char *begin, uint32_t point, err *e)
{
    if (t->folded && (point > 0x7f || is_ligature(t->before, point))) {
        return translation_refuse(t, begin, "case-insensitive matching of this text", e);
    }
    t->before = point;
    translation_write_point(t->out, point);
    return OK;
}

static err_code translate_escape(translation *t, err *e)
{
    const char *const begin = t->at;
    translated_escape x;
    TRY(translation_read_escape(t, &x, e));
    if (!x.class[0]) {
        return translate_literal(t, begin, x.point, e);
    }
    fputs(x.negated ? "[^" : "[", t->out);
    x.negated = false;
    TRY(translation_write_class(t, begin, &x, e));
    fputc(']', t->out);
    return OK;
}

/* Read a decimal number of at most five digits; false: there is none, or it is longer. */
static bool read_number(translation *t, unsigned *value)
{
    unsigned digits = 0;
    for (*value = 0; t->at < t->end && *t->at >= '0' && *t->at <= '9'; digits++) {
        *value = digits < 5 ? *value * 10 + (unsigned)(*t->at - '0') : 0;
        t->at++;
    }
    return digits > 0 && digits <= 5;
}

/* {n}, {n,}, {,m} or {n,m}. {,m} becomes {0,m}, because PCRE2 10.42 takes {,m} for literal text.
 * Lazy and possessive forms have different meanings in the two engines and are refused. */
static err_code translate_interval(translation *t, err *e)
{
    const char *const begin = t->at++;
    unsigned least = 0, most = 0;
    const bool has_least = read_number(t, &least);
    const bool comma = translation_take(t, ",");
    const bool has_most = comma && read_number(t, &most);
    if (!translation_take(t, "}") || !(has_least || has_most) || (has_most && most < least) ||
        translation_next_is(t, "?") || translation_next_is(t, "+")) {
        return translation_refuse(t, begin, "an interval", e);
    }
    fprintf(t->out, "{%u", least);
    if (comma) {
        fputc(',', t->out);
    }
    if (has_most) {
        fprintf(t->out, "%u", most);
    }
    fputc('}', t->out);
    return OK;
}

/* *, + or ?, greedy, lazy or possessive; or an interval. */
static err_code translate_quantifier(translation *t, err *e)
{
    if (t->at == t->end || !strchr("*+?{", *t->at)) {
        return OK;
    }
    if (*t->at == '{') {
        TRY(translate_interval(t, e));
    } else {
        fputc(*t->at++, t->out);
        if (translation_next_is(t, "?") || translation_next_is(t, "+")) {
            fputc(*t->at++, t->out);
        }
    }
    if (t->at < t->end && strchr("*+?{", *t->at)) {
        return translation_refuse(t, t->at, "a quantifier after a quantifier", e);
    }
    return OK;
}

static err_code translate_alternatives(translation *t, err *e);

static err_code translate_group(translation *t, bool *quantifiable, err *e)
{
    static const char *const openings[] = {"(?:", "(?>", "(?=", "(?!", "(?<=", "(?<!", "(?i:"};
    const char *const begin = t->at;
    const bool folded = t->folded;
    const char *opening = NULL;
    for (size_t i = 0; i < sizeof openings / sizeof *openings && !opening; i++) {
        opening = translation_take(t, openings[i]) ? openings[i] : NULL;
    }
    if (!opening && !translation_next_is(t, "(?") && !translation_next_is(t, "(*") &&
        translation_take(t, "(")) {
        opening = "(?:"; /* captures are never used */
    }
    if (!opening || t->depth == PATTERN_MAX_DEPTH) {
        return translation_refuse(
            t, begin, opening ? "a group nested this deeply" : "a group of this kind", e);
    }
    *quantifiable = strchr(":>i", opening[2]) != NULL;
    t->folded = folded || opening[2] == 'i';
    t->depth++;
    fputs(opening, t->out);
    TRY(translate_alternatives(t, e));
    t->depth--;
    t->folded = folded;
    if (!translation_take(t, ")")) {
        return translation_refuse(t, begin, "an unclosed group", e);
    }
    fputc(')', t->out);
    return OK;
}

/* One atom with its quantifier. */
static err_code translate_item(translation *t, err *e)
{
    const char *const begin = t->at;
    bool quantifiable = true;
    uint32_t point = 0;
    const uint32_t before = t->before;
    t->before = 0;
    if (*begin == '(') {
        TRY(translate_group(t, &quantifiable, e));
    } else if (*begin == '[') {
        TRY(translation_bracket(t, e));
    } else if (*begin == '\\') {
        t->before = before;
        TRY(translate_escape(t, e));
    } else if (translation_take(t, ".")) {
        fputs("[^\\x{a}]", t->out);
    } else if (translation_take(t, "$")) { /* the end of a line */
        fputs("(?=\\x{a}|\\z)", t->out);
        quantifiable = false;
    } else if (strchr("^*+?{]", *begin)) {
        return translation_refuse(t, begin, "an operator", e);
    } else {
        t->before = before;
        TRY(translation_read_character(t, &point, e));
        TRY(translate_literal(t, begin, point, e));
    }
    if (!quantifiable && t->at < t->end && strchr("*+?{", *t->at)) {
        return translation_refuse(t, t->at, "a quantifier here", e);
    }
    return translate_quantifier(t, e);
}

/* Translate up to the end, or up to the parenthesis that closes the group. */
static err_code translate_alternatives(translation *t, err *e)
{
    t->before = 0;
    while (t->at < t->end && *t->at != ')') {
        if (translation_take(t, "|")) {
            fputc('|', t->out);
            t->before = 0;
        } else {
            TRY(translate_item(t, e));
        }
    }
    t->before = 0;
    return OK;
}

/* Close t->out. If all went well, *out gets the text that it wrote, else the text is freed. */
static err_code finish(translation *t, err_code code, text_buffer *text, char **out, err *e)
{
    const bool failed = ferror(t->out) != 0;
    for (size_t i = 0; i < t->class_count; i++) {
        point_set_free(&t->classes[i].points);
    }
    if ((fclose(t->out) != 0 || failed) && code == OK) {
        code = err_set(e, ERR_MEMORY, "no memory for a pattern");
    }
    code = code == OK ? text_buffer_add(text, "", 1, e) : code; /* a NUL */
    if (code == OK) {
        *out = text->text;
    } else {
        text_buffer_free(text);
    }
    return code;
}

static err_code start(translation *t, const char *text, size_t bytes, text_buffer *to, err *e)
{
    *t = (translation){.start = text, .at = text, .end = text + bytes};
    if (bytes > PATTERN_MAX_BYTES) {
        return err_set(e, ERR_INPUT, "a pattern of %zu bytes, at most %d are allowed", bytes,
                       PATTERN_MAX_BYTES);
    }
    t->out = text_buffer_stream(to);
    return t->out ? OK : err_set(e, ERR_MEMORY, "no memory for a pattern");
}

static err_code translate_pattern(translation *t, err *e)
{
    TRY(translate_alternatives(t, e));
    return t->at < t->end ? translation_refuse(t, t->at, "an unmatched closing parenthesis", e)
                          : OK;
}

err_code pattern_translate(const char *text, size_t bytes, char **out, err *e)
{
    translation t;
    text_buffer to = {0};
    TRY(start(&t, text, bytes, &to, e));
    return finish(&t, translate_pattern(&t, e), &to, out, e);
}

static err_code translate_characters(translation *t, err *e)
{
    while (t->at < t->end) {
        uint32_t point = 0;
        TRY(translation_read_character(t, &point, e));
        translation_write_point(t->out, point);
    }
    return OK;
}

err_code pattern_translate_literal(const char *text, size_t bytes, char **out, err *e)
{
    translation t;
    text_buffer to = {0};
    TRY(start(&t, text, bytes, &to, e));
    return finish(&t, translate_characters(&t, e), &to, out, e);
}

err_code pattern_translate_word(char **out, err *e)
{
    translation t;
    text_buffer to = {0};
    TRY(start(&t, "", 0, &to, e));
    translation_write_word(t.out);
    return finish(&t, OK, &to, out, e);
}
