/* The normalization forms of Unicode, as the `tokenizers` library computes them.
 *
 *     unicode_work w = {0};
 *     text_buffer out = {0};
 *     unicode_normalize(UNICODE_NFC, text, bytes, &w, &out, e);      appends to `out`
 *     unicode_work_free(&w);
 *
 * utf8proc has the data and composes; nothing else of the program knows it. The library's tables are
 * those of Unicode 9: characters that later versions gave a decomposition, a combining class or a
 * composition are left alone and divide the text (unicode_normal_late.c). The time is linear in the
 * length of the text, the additional memory in the longest run without a character of ASCII or an
 * ideograph. */
#ifndef UNICODE_NORMAL_H
#define UNICODE_NORMAL_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"
#include "verify/tokenizer/text_buffer.h"

typedef enum unicode_form { UNICODE_NFC, UNICODE_NFKC, UNICODE_NFD, UNICODE_NFKD } unicode_form;

/* Working memory for one thread. Initially all zero except the monitor. */
typedef struct unicode_work {
    const monitor *monitor;
    int32_t *points, *sorted; /* [capacity] each */
    size_t count, capacity;
} unicode_work;

/* Append the normalized text, which must be UTF-8. ERR_INPUT: the result is too long; ERR_MEMORY;
 * ERR_CANCELLED. */
MUST_CHECK err_code unicode_normalize(unicode_form form, const char *text, size_t bytes,
                                      unicode_work *w, text_buffer *out, err *e);
void unicode_work_free(unicode_work *w);

/* Characters, in ascending ranges, whose normalization is newer than the library. */
typedef struct unicode_span {
    uint32_t first, last;
} unicode_span;

extern const unicode_span unicode_normal_late[];
extern const size_t unicode_normal_late_count;

/* Punctuation, as the library's pre-tokenizer of that name knows it. */
extern const unicode_span unicode_punctuation[];
extern const size_t unicode_punctuation_count;

#endif
