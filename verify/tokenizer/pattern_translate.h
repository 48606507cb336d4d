/* Translates a pattern from the syntax of Oniguruma to that of PCRE2. Used by pattern.c;
 * pattern_translate.c knows the operators, pattern_bracket.c bracket expressions, pattern_class.c the
 * classes of characters.
 *
 *     TRY(pattern_translate(text, bytes, &translated, e));
 *     ... free(translated) */
#ifndef PATTERN_TRANSLATE_H
#define PATTERN_TRANSLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "format/base/err.h"
#include "verify/tokenizer/pattern.h"
#include "verify/tokenizer/point_set.h"

/* *out: the translation, NUL-terminated, to free(). Errors: ERR_INPUT, ERR_MEMORY. */
MUST_CHECK err_code pattern_translate(const char *text, size_t bytes, char **out, err *e);

/* The same for a text without operators, and for the class of word characters. */
MUST_CHECK err_code pattern_translate_literal(const char *text, size_t bytes, char **out, err *e);
MUST_CHECK err_code pattern_translate_word(char **out, err *e);

/* Compile a pattern that needs no translation; pattern.c. */
MUST_CHECK err_code pattern_native(const char *text, pattern **out, err *e);

/* ---- shared by the three files --------------------------------- */

enum { TRANSLATION_MAX_CLASSES = 64, TRANSLATION_MAX_SETS = 64 };

/* What a backslash introduces: a character, or the name of a class. */
typedef struct translated_escape {
    uint32_t point;
    char class[8]; /* "s", "Han" or a category; empty: a character */
    bool negated;
} translated_escape;

/* A pattern is read once, from its beginning to its end, and translated on the way. */
typedef struct translation {
    const char *start, *at, *end;
    FILE *out;
    bool folded;     /* within (?i: */
    uint32_t before; /* within (?i: the literal just written, 0: none */
    unsigned depth;  /* of groups */
    unsigned sets;   /* bracket expressions with operators so far */
    struct {
        translated_escape name;
        point_set points;
    } classes[TRANSLATION_MAX_CLASSES]; /* what these needed */
    size_t class_count;
} translation;

/* ERR_INPUT: "WHAT at byte N of the pattern is not supported"; N is where `at` points to. */
err_code translation_refuse(const translation *t, const char *at, const char *what, err *e);

bool translation_next_is(const translation *t, const char *text);
bool translation_take(translation *t, const char *text); /* the same, and skip it */

/* Read one character, which must be UTF-8 and not NUL. */
MUST_CHECK err_code translation_read_character(translation *t, uint32_t *point, err *e);

/* Read what begins with the backslash at `t->at`. */
MUST_CHECK err_code translation_read_escape(translation *t, translated_escape *x, err *e);

/* Write the members of a class; the caller writes the brackets. `at` is for the message. */
MUST_CHECK err_code translation_write_class(const translation *t, const char *at,
                                            const translated_escape *x, err *e);

/* Unite *out, which is empty, with the members of a class. ERR_MEMORY. */
MUST_CHECK err_code translation_read_class(const translated_escape *x, point_set *out, err *e);

/* Translate a bracket expression, from '[' to its ']'. */
MUST_CHECK err_code translation_bracket(translation *t, err *e);

void translation_write_point(FILE *out, uint32_t point);
void translation_write_range(FILE *out, uint32_t first, uint32_t last);
void translation_write_word(FILE *out);

/* Characters that Unicode 15 and 16 added, with their general category: a PCRE2 with Unicode 14
 * does not know them. Ranges ascend. */
typedef struct unicode_range {
    uint32_t first, last;
    char category[3];
} unicode_range;

extern const unicode_range unicode_late[];
extern const size_t unicode_late_count;

#endif
