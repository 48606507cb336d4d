#include "verify/tokenizer/pattern_translate.h"

#include <string.h>

#include "verify/tokenizer/pattern.h"

/* ---- members --------------------------------------------------- */

/* Read one member of a bracket expression, a character or a class. */
static err_code read_member(translation *t, translated_escape *x, err *e)
{
    const char *const begin = t->at;
    *x = (translated_escape){0};
    if (*begin == '\\') {
        return translation_read_escape(t, x, e);
    }
    if (*begin == '[' || translation_next_is(t, "&&") ||
        (*begin == '-' && !(begin + 1 < t->end && begin[1] == ']'))) {
        return translation_refuse(t, begin, "an operator within brackets", e);
    }
    return translation_read_character(t, &x->point, e);
}

static err_code write_range_of(translation *t, const char *begin, uint32_t first, err *e)
{
    translated_escape last = {0};
    t->at++;
    TRY(read_member(t, &last, e));
    if (last.class[0] || last.point < first || (t->folded && last.point > 0x7f)) {
        return translation_refuse(t, begin, "a range", e);
    }
    translation_write_range(t->out, first, last.point);
    return OK;
}

static err_code translate_member(translation *t, err *e)
{
    const char *const begin = t->at;
    translated_escape x;
    TRY(read_member(t, &x, e));
    const bool range = t->end - t->at > 1 && t->at[0] == '-' && t->at[1] != ']';
    if (x.class[0]) {
        return range ? translation_refuse(t, t->at, "a range", e)
                     : translation_write_class(t, begin, &x, e);
    }
    if (t->folded && x.point > 0x7f) {
        return translation_refuse(t, begin, "case-insensitive matching of a non-ASCII character",
                                  e);
    }
    if (range) {
        return write_range_of(t, begin, x.point, e);
    }
    translation_write_point(t->out, x.point);
    return OK;
}

/* ---- brackets with operators ----------------------------------- */

/* Read an expression from '[' to its ']': parts separated by &&, of each the union of its members. */
static err_code read_set(translation *t, unsigned depth, point_set *out, err *e);

/* A class, from those that this pattern already has if possible. */
static err_code unite_class(translation *t, const translated_escape *x, point_set *out, err *e)
{
    size_t i = 0;
    while (i < t->class_count && (strcmp(t->classes[i].name.class, x->class) != 0 ||
                                  t->classes[i].name.negated != x->negated)) {
        i++;
    }
    if (i == t->class_count) {
        if (i == TRANSLATION_MAX_CLASSES) {
            return translation_refuse(t, t->at, "a pattern with too many classes", e);
        }
        t->classes[i].name = *x;
        t->class_count++;
        TRY(translation_read_class(x, &t->classes[i].points, e));
    }
    return point_set_unite(out, &t->classes[i].points, e);
}

static err_code unite_inner(translation *t, unsigned depth, point_set *out, err *e)
{
    point_set inner = {0};
    err_code code = OK;
    TRY_OUT(read_set(t, depth + 1, &inner, e));
    code = point_set_unite(out, &inner, e);
out:
    point_set_free(&inner);
    return code;
}

/* A character, a range, a class or a bracket expression. */
static err_code unite_member(translation *t, unsigned depth, point_set *out, err *e)
{
    const char *const begin = t->at;
    translated_escape x, last = {0};
    if (*begin == '[') {
        return unite_inner(t, depth, out, e);
    }
    TRY(read_member(t, &x, e));
    const bool range = t->end - t->at > 1 && t->at[0] == '-' && t->at[1] != ']';
    if (x.class[0]) {
        return range ? translation_refuse(t, t->at, "a range", e) : unite_class(t, &x, out, e);
    }
    last.point = x.point;
    if (range) {
        t->at++;
        TRY(read_member(t, &last, e));
    }
    return last.class[0] || last.point < x.point ? translation_refuse(t, begin, "a range", e)
                                                 : point_set_add(out, x.point, last.point, e);
}

/* Members up to && or ]. */
static err_code read_operand(translation *t, unsigned depth, point_set *out, err *e)
{
    const char *const begin = t->at;
    while (t->at < t->end && *t->at != ']' && !translation_next_is(t, "&&")) {
        TRY(unite_member(t, depth, out, e));
    }
    return t->at == begin ? translation_refuse(t, begin, "an empty part of a bracket expression", e)
                          : OK;
}

static err_code intersect_operand(translation *t, unsigned depth, point_set *out, err *e)
{
    point_set operand = {0};
    err_code code = OK;
    TRY_OUT(read_operand(t, depth, &operand, e));
    code = point_set_intersect(out, &operand, e);
out:
    point_set_free(&operand);
    return code;
}

static err_code read_set(translation *t, unsigned depth, point_set *out, err *e)
{
    const char *const begin = t->at++;
    const bool negated = translation_take(t, "^");
    if (translation_next_is(t, "]") || translation_next_is(t, "-") || translation_next_is(t, ":") ||
        depth > PATTERN_MAX_DEPTH) {
        return translation_refuse(t, begin, "a bracket expression that begins like this", e);
    }
    TRY(read_operand(t, depth, out, e));
    while (translation_take(t, "&&")) {
        TRY(intersect_operand(t, depth, out, e));
    }
    if (!translation_take(t, "]")) {
        return translation_refuse(t, begin, "an unclosed bracket expression", e);
    }
    return negated ? point_set_complement(out, e) : OK;
}

/* PCRE2 takes no surrogates, and no text has them. */
static void write_set(FILE *out, const point_set *set)
{
    fputc('[', out);
    for (size_t i = 0; i < set->count; i++) {
        const point_range r = set->ranges[i];
        const uint32_t first = r.first >= 0xd800 && r.first < 0xe000 ? 0xe000 : r.first;
        const uint32_t last = r.last >= 0xd800 && r.last < 0xe000 ? 0xd7ff : r.last;
        if (first <= last) {
            translation_write_range(out, first, last);
        }
    }
    fputc(']', out);
}

static err_code translate_set(translation *t, err *e)
{
    const char *const begin = t->at;
    point_set set = {0};
    err_code code = OK;
    if (t->folded || t->sets++ == TRANSLATION_MAX_SETS) {
        return translation_refuse(t, begin, "an operator within brackets here", e);
    }
    TRY_OUT(read_set(t, 1, &set, e));
    if (set.count == 0) {
        TRY_OUT(translation_refuse(t, begin, "a bracket expression that matches nothing", e));
    }
    write_set(t->out, &set);
out:
    point_set_free(&set);
    return code;
}

/* ---- both ------------------------------------------------------ */

/* Does the expression need more than a class of PCRE2: a set operation, a nested expression, the
 * complement of a property? */
static bool needs_set(const translation *t)
{
    translation rest = *t;
    rest.at++;
    while (rest.at < rest.end && *rest.at != ']') {
        if (*rest.at == '[' || translation_next_is(&rest, "&&") ||
            translation_next_is(&rest, "\\P") || translation_next_is(&rest, "\\D") ||
            translation_next_is(&rest, "\\p{^")) {
            return true;
        }
        rest.at += *rest.at == '\\' && rest.end - rest.at > 1 ? 2 : 1;
    }
    return false;
}

err_code translation_bracket(translation *t, err *e)
{
    const char *const begin = t->at;
    if (needs_set(t)) {
        return translate_set(t, e);
    }
    t->at++;
    const bool negated = translation_take(t, "^");
    if (translation_next_is(t, "]") || translation_next_is(t, "-") || (negated && t->folded)) {
        return translation_refuse(t, begin, "a bracket expression that begins like this", e);
    }
    fputs(negated ? "[^" : "[", t->out);
    while (t->at < t->end && *t->at != ']') {
        TRY(translate_member(t, e));
    }
    if (!translation_take(t, "]")) {
        return translation_refuse(t, begin, "an unclosed bracket expression", e);
    }
    fputc(']', t->out);
    return OK;
}
