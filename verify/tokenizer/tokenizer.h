/* Text to token ids: BPE from a Hugging Face tokenizer.json, or from tiktoken.model.
 *
 *     tokenizer_create("tokenizer.json", json, bytes, m, &t, e);
 *     token_list ids = {0};
 *     tokenizer_encode(t, text, text_bytes, m, &ids, e);
 *     ... ids.ids[0 ... ids.count - 1] ...
 *     token_list_free(&ids);
 *     tokenizer_free(t);
 *
 * The ids are those of the `tokenizers` library with add_special_tokens=False: a TemplateProcessing
 * adds nothing, but special tokens in the text are recognized. spec/tokenizer.md defines which
 * parts of a file are supported and in which order they apply; anything unknown that could change
 * an id is refused. A tokenizer is read-only, so several threads may encode with the same one. */
#ifndef TOKENIZER_H
#define TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct tokenizer tokenizer;

typedef struct token_list {
    int32_t *ids;
    size_t count, capacity;
} token_list;

/* Parse a tokenizer.json; `what` names it in messages. *out is for tokenizer_free. A note says what
 * the file asks for and tokenizer_encode does not do: cutting and padding. Errors: ERR_INPUT
 * malformed or not supported (the message has the path in the JSON and the value there);
 * ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code tokenizer_create(const char *what, const char *json, size_t bytes,
                                     const monitor *m, tokenizer **out, err *e);

/* Create one from the text of a tiktoken.model: `code` is the text of the tokenizer's Python code,
 * called `code_name`, and `config` is tokenizer_config.json (NULL: none). Errors as above: the code
 * has no pattern that is known, or malformed ranks. */
MUST_CHECK err_code tokenizer_create_tiktoken(const char *what, const char *ranks, size_t bytes,
                                              const char *code_name, const char *code,
                                              const json_t *config, const monitor *m,
                                              tokenizer **out, err *e);

/* Read a file of the model. *data stays NULL if there is none, else it is for free() and ends with a
 * NUL that is not counted. */
typedef err_code (*tokenizer_file_fn)(void *ctx, const char *name, char **data, size_t *bytes,
                                      err *e);

/* Read the tokenizer of a model: its tokenizer.json, or else tiktoken.model with
 * tokenizer_config.json and the code that this names. *out is NULL if the model has neither. Errors
 * as above, which begin with `path` (NULL: nothing) and the name of the file; and those of `read`. */
MUST_CHECK err_code tokenizer_load(const char *path, tokenizer_file_fn read, void *ctx,
                                   const monitor *m, tokenizer **out, err *e);

void tokenizer_free(tokenizer *t); /* NULL is fine */

/* Append the ids of a text to `out`; after an error, only some of its first ids. The time is
 * O(n log n) for any text. Errors: ERR_INPUT the text is not UTF-8 (the message has the offset), no
 * token exists for a byte, or a pattern needs too many steps; ERR_MEMORY; ERR_CANCELLED. */
MUST_CHECK err_code tokenizer_encode(const tokenizer *t, const char *text, size_t bytes,
                                     const monitor *m, token_list *out, err *e);

/* Append one id. ERR_MEMORY. */
MUST_CHECK err_code token_list_add(token_list *list, int32_t id, err *e);
void token_list_free(token_list *list);

#endif
