#include "verify/tokenizer/pattern_translate.h"

#include <inttypes.h>
#include <string.h>

#include "format/base/utf8.h"

typedef struct span {
    uint32_t first, last;
} span;

/* White_Space, which has not changed since Unicode 6.3. PCRE2's own \s also has U+180E. */
static const span spaces[] = {
    {0x9, 0xd},       {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680},
    {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}};

/* General categories that in Unicode 16 are those of Unicode 14 plus unicode_late. C and Mn are not
 * among them: they also lost characters. */
static const char *const categories[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "N",  "Nd", "Nl",
                                         "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",
                                         "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp"};

err_code translation_refuse(const translation *t, const char *at, const char *what, err *e)
{
    return err_set(e, ERR_INPUT, "%s at byte %zu of the pattern is not supported", what,
                   (size_t)(at - t->start));
}

bool translation_next_is(const translation *t, const char *text)
{
    const size_t bytes = strlen(text);
    return (size_t)(t->end - t->at) >= bytes && memcmp(t->at, text, bytes) == 0;
}

bool translation_take(translation *t, const char *text)
{
    const bool found = translation_next_is(t, text);
    t->at += found ? strlen(text) : 0;
    return found;
}

void translation_write_point(FILE *out, uint32_t point)
{
    fprintf(out, "\\x{%" PRIx32 "}", point);
}

void translation_write_range(FILE *out, uint32_t first, uint32_t last)
{
    translation_write_point(out, first);
    if (last > first) {
        fputc('-', out);
        translation_write_point(out, last);
    }
}

/* \s or \S as members of a class. */
static void write_spaces(FILE *out, bool negated)
{
    uint32_t next = 0;
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        if (negated) {
            translation_write_range(out, next, spaces[i].first - 1);
            next = spaces[i].last + 1;
        } else {
            translation_write_range(out, spaces[i].first, spaces[i].last);
        }
    }
    if (negated) {
        translation_write_range(out, next, 0x10ffff);
    }
}

/* \p{name} as members of a class; `name` has one letter or two. */
static void write_category(FILE *out, const char *name)
{
    fprintf(out, "\\p{%s}", name);
    for (size_t i = 0; i < unicode_late_count; i++) {
        const unicode_range *const r = &unicode_late[i];
        if (strncmp(r->category, name, strlen(name)) == 0) {
            translation_write_range(out, r->first, r->last);
        }
    }
}

/* The same as a set, from what PCRE2 calls it and the ranges that were added to it. */
static err_code add_known(point_set *set, const char *native, const span *more, size_t count,
                          err *e)
{
    TRY(point_set_of_class(native, set, e));
    for (size_t i = 0; i < count; i++) {
        TRY(point_set_add(set, more[i].first, more[i].last, e));
    }
    return OK;
}

static err_code add_category(point_set *set, const char *name, err *e)
{
    char native[16];
    snprintf(native, sizeof native, "\\p{%s}", name);
    TRY(add_known(set, native, NULL, 0, e));
    for (size_t i = 0; i < unicode_late_count; i++) {
        const unicode_range *const r = &unicode_late[i];
        if (strncmp(r->category, name, strlen(name)) == 0) {
            TRY(point_set_add(set, r->first, r->last, e));
        }
    }
    return OK;
}

/* The script, which PCRE2 spells sc:Han; its \p{Han} is Script_Extensions. */
#define HAN "\\p{sc:Han}"
static const span late_han[] = {{0x2b739, 0x2b739}, {0x2ebf0, 0x2ee5d}, {0x31350, 0x323af}};

static void write_han(FILE *out)
{
    fputs(HAN, out);
    for (size_t i = 0; i < sizeof late_han / sizeof *late_han; i++) {
        translation_write_range(out, late_han[i].first, late_han[i].last);
    }
}

void translation_write_word(FILE *out)
{
    static const char *const known[] = {"L", "M", "Nd", "Pc"};
    fputs("[\\p{Alphabetic}\\x{200c}\\x{200d}", out);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        write_category(out, known[i]);
    }
    fputc(']', out);
}

static bool category_known(const char *name)
{
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++) {
        if (strcmp(categories[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static err_code read_property(translation *t, bool negated, translated_escape *out, err *e)
{
    const char *const begin = t->at;
    size_t used = 0;
    if (!translation_take(t, "{")) {
        return translation_refuse(t, begin, "a property without braces", e);
    }
    out->negated = negated != translation_take(t, "^");
    while (t->at < t->end && *t->at != '}' && used + 1 < sizeof out->class) {
        out->class[used++] = *t->at++;
    }
    if (!translation_take(t, "}") ||
        (!category_known(out->class) && strcmp(out->class, "Han") != 0)) {
        return translation_refuse(t, begin, "a property", e);
    }
    return OK;
}

/* Read hexadecimal digits: at least one, at most `most`. */
static bool read_hex(translation *t, unsigned most, uint32_t *point)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    unsigned count = 0;
    for (*point = 0; count < most && t->at < t->end && *t->at; count++, t->at++) {
        const char *const digit = strchr(digits, *t->at);
        if (!digit) {
            break;
        }
        *point = *point << 4 | ((uint32_t)(digit - digits) & 15);
    }
    return count > 0;
}

/* \xHH, \x{H...}, \uHHHH. From \x80 on, \xHH would be a byte and not a character. */
static err_code read_code(translation *t, bool is_x, translated_escape *out, err *e)
{
    const char *const begin = t->at;
    const bool braces = is_x && translation_take(t, "{");
    const unsigned digits = braces ? 6 : is_x ? 2 : 4;
    uint32_t limit = is_x && !braces ? 0x7f : 0x10ffff;
    if (!read_hex(t, digits, &out->point) || (braces && !translation_take(t, "}")) ||
        (!is_x && t->at - begin != 4) || out->point > limit || out->point == 0 ||
        (out->point >= 0xd800 && out->point < 0xe000)) {
        return translation_refuse(t, begin, "a numeric escape like this", e);
    }
    return OK;
}

err_code translation_read_escape(translation *t, translated_escape *out, err *e)
{
    static const char controls[] = "tnrf";
    static const char values[] = "\t\n\r\f";
    const char *const begin = t->at++;
    const char c = t->at < t->end ? *t->at++ : '\0';
    const char *const control = c ? strchr(controls, c) : NULL;
    *out = (translated_escape){0};
    if (control) {
        out->point = (uint32_t)values[control - controls];
    } else if (c == 's' || c == 'S' || c == 'd' || c == 'D') {
        out->negated = c == 'S' || c == 'D';
        snprintf(out->class, sizeof out->class, "%s", c == 's' || c == 'S' ? "s" : "Nd");
    } else if (c == 'p' || c == 'P') {
        return read_property(t, c == 'P', out, e);
    } else if (c == 'x' || c == 'u') {
        return read_code(t, c == 'x', out, e);
    } else if (c >= ' ' && c < 0x7f && !(c >= '0' && c <= '9') &&
               !((c | 32) >= 'a' && (c | 32) <= 'z')) {
        out->point = (uint32_t)c;
    } else {
        return translation_refuse(t, begin, "an escape", e);
    }
    return OK;
}

err_code translation_read_character(translation *t, uint32_t *point, err *e)
{
    const size_t length = utf8_length(t->at, (size_t)(t->end - t->at));
    if (length == 0 || *t->at == '\0') {
        return translation_refuse(t, t->at, "text that is not UTF-8", e);
    }
    *point = utf8_point(t->at, length);
    t->at += length;
    return OK;
}

err_code translation_write_class(const translation *t, const char *at, const translated_escape *x,
                                 err *e)
{
    if (t->folded) {
        return translation_refuse(t, at, "a case-insensitive class of characters", e);
    }
    if (strcmp(x->class, "s") == 0) {
        write_spaces(t->out, x->negated);
    } else if (x->negated) {
        return translation_refuse(t, at, "a negated class within a class", e);
    } else if (strcmp(x->class, "Han") == 0) {
        write_han(t->out);
    } else {
        write_category(t->out, x->class);
    }
    return OK;
}

err_code translation_read_class(const translated_escape *x, point_set *out, err *e)
{
    if (strcmp(x->class, "s") == 0) {
        for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
            TRY(point_set_add(out, spaces[i].first, spaces[i].last, e));
        }
    } else if (strcmp(x->class, "Han") == 0) {
        TRY(add_known(out, HAN, late_han, sizeof late_han / sizeof *late_han, e));
    } else {
        TRY(add_category(out, x->class, e));
    }
    return x->negated ? point_set_complement(out, e) : OK;
}
