/* Patterns of tokenizers: regular expressions as the `tokenizers` library has them (Oniguruma, Ruby
 * syntax, UTF-8), matched by PCRE2.
 *
 *     pattern_compile(text, strlen(text), &p, e);
 *     pattern_scratch_create(&s, e);
 *     s: pattern_budget(s, bytes) once a text, then for each position
 *     pattern_match(p, s, text, bytes, at, &end, e);       end > at: [at, end) matches
 *
 * Both engines agree on the operators, not on what a character is. So a pattern is translated:
 * every class is spelled out as Unicode 16 has it, and what is not known to mean the same in both
 * is refused (spec/tokenizer.md section 3). A pattern is read-only and may serve several threads; a
 * scratch belongs to one. */
#ifndef PATTERN_H
#define PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

enum { PATTERN_MAX_BYTES = 8192, PATTERN_MAX_DEPTH = 32 };

typedef struct pattern pattern;
typedef struct pattern_scratch pattern_scratch;

/* Errors: ERR_INPUT a construct that is not supported (the message says where), or a pattern that
 * can match nothing; ERR_MEMORY. *out: pattern_free. */
MUST_CHECK err_code pattern_compile(const char *text, size_t bytes, pattern **out, err *e);

/* The pattern that matches exactly this text, which is not empty. */
MUST_CHECK err_code pattern_literal(const char *text, size_t bytes, pattern **out, err *e);

/* One character of a word, as single_word of added tokens has it: letters, marks, decimal digits,
 * connectors, joiners. */
MUST_CHECK err_code pattern_word(pattern **out, err *e);

void pattern_free(pattern *p); /* NULL is fine */

MUST_CHECK err_code pattern_scratch_create(pattern_scratch **out, err *e);
void pattern_scratch_free(pattern_scratch *s); /* NULL is fine */

/* Allow as many steps as a text of `bytes` bytes may need; a pattern that needs more is hostile. */
void pattern_budget(pattern_scratch *s, size_t bytes);

/* Match at the offset `at`, which is the beginning of a character; what stands before and behind it
 * is seen by lookarounds. *end: behind the match, 0 if there is none. `text` is UTF-8. Errors:
 * ERR_INPUT too many steps or too much memory for one match, ERR_MEMORY. */
MUST_CHECK err_code pattern_match(const pattern *p, pattern_scratch *s, const char *text,
                                  size_t bytes, size_t at, size_t *end, err *e);

#endif
