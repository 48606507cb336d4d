/* Patterns of tokenizers: regular expressions in the dialect of the `tokenizers` library
 * (Oniguruma, Ruby syntax, UTF-8), matched by PCRE2.
 *
 *     pattern_compile(text, strlen(text), &p, e);
 *     pattern_scratch_create(&s, e);
 *     pattern_budget(s, bytes, m);                        once per text
 *     pattern_match(p, s, text, bytes, at, &end, e);      end > at: [at, end) matches
 *
 * The two engines agree on the operators but not on the classes of characters. So a pattern is
 * translated: every class is spelled out according to Unicode 16, and a construct that is not known
 * to mean the same in both is refused (spec/tokenizer.md section 3). A pattern is read-only and may
 * be shared by threads; a scratch belongs to one thread. */
#ifndef PATTERN_H
#define PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

enum { PATTERN_MAX_BYTES = 8192, PATTERN_MAX_DEPTH = 32 };

typedef struct pattern pattern;
typedef struct pattern_scratch pattern_scratch;

/* Compile a pattern; *out is for pattern_free. Errors: ERR_INPUT a construct that is not supported
 * (the message says where), or a pattern that can match the empty string; ERR_MEMORY. */
MUST_CHECK err_code pattern_compile(const char *text, size_t bytes, pattern **out, err *e);

/* The pattern that matches exactly this text, which is not empty. */
MUST_CHECK err_code pattern_literal(const char *text, size_t bytes, pattern **out, err *e);

/* The pattern that matches one word character, as defined for single_word of added tokens: letters,
 * marks, decimal digits, connectors, joiners. */
MUST_CHECK err_code pattern_word(pattern **out, err *e);

void pattern_free(pattern *p); /* NULL is fine */

MUST_CHECK err_code pattern_scratch_create(pattern_scratch **out, err *e);
void pattern_scratch_free(pattern_scratch *s); /* NULL is fine */

/* Allow as many steps as a text of `bytes` bytes may need; a pattern that needs more is hostile.
 * Matches use up the steps until the next call, and ask the monitor whether to stop. */
void pattern_budget(pattern_scratch *s, size_t bytes, const monitor *m);

/* Match at the offset `at`, which must be the beginning of a character; lookarounds see the text
 * before and after it. *end: the end of the match, 0 if there is none. `text` must be UTF-8.
 * Errors: ERR_INPUT too many steps, or too much memory for one match; ERR_MEMORY, ERR_CANCELLED.
 */
MUST_CHECK err_code pattern_match(const pattern *p, pattern_scratch *s, const char *text,
                                  size_t bytes, size_t at, size_t *end, err *e);

#endif
