/* Text to token ids: byte-level BPE from the text of a Hugging Face tokenizer.json.
 *
 *     tokenizer_create("tokenizer.json", json, bytes, &t, e);
 *     token_list ids = {0};
 *     tokenizer_encode(t, text, text_bytes, &ids, e);
 *     ... ids.ids[0 ... ids.count - 1] ...
 *     token_list_free(&ids);
 *     tokenizer_free(t);
 *
 * The ids are those of the `tokenizers` library with add_special_tokens=False: what a
 * TemplateProcessing would add is not added, special tokens in the text are recognised. What of a
 * file is supported, in which order, and what is refused, says spec/tokenizer.md; whatever could
 * change an id and is not known is refused. A tokenizer is read-only, so several threads may encode
 * with it. */
#ifndef TOKENIZER_H
#define TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

typedef struct tokenizer tokenizer;

typedef struct token_list {
    int32_t *ids;
    size_t count, room;
} token_list;

/* `what` names the file in messages. Errors: ERR_INPUT malformed or not supported, with the path in
 * the JSON and what stands there; ERR_MEMORY. *out: tokenizer_free. */
MUST_CHECK err_code tokenizer_create(const char *what, const char *json, size_t bytes,
                                     tokenizer **out, err *e);

void tokenizer_free(tokenizer *t); /* NULL is fine */

/* Append the ids of a text to `out`; after an error they are some of its first ids. Time grows
 * with the length as n log n whatever the text. Errors: ERR_INPUT the text is not UTF-8 (the
 * message has the offset), a byte that no token stands for, a pattern that needs too many steps;
 * ERR_MEMORY. */
MUST_CHECK err_code tokenizer_encode(const tokenizer *t, const char *text, size_t bytes,
                                     token_list *out, err *e);

/* Append one id. ERR_MEMORY. */
MUST_CHECK err_code token_list_add(token_list *list, int32_t id, err *e);
void token_list_free(token_list *list);

#endif
