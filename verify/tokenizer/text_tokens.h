/* The token ids of many texts, in their order: each text is tokenized by itself, and nothing is put
 * before, between or after them.
 *
 *     text_tokens_request r = {.tokenizer = t, .files = &files, .field = "text", .wanted = 8 * 512, ...};
 *     text_tokens(&r, &ids, &ended, e);
 *     token_list_free(&ids);                         also after an error
 *
 * Reading ends with the text that makes enough tokens. It is a stage of the job, "tokenize", whose bytes
 * are those of the texts. */
#ifndef TEXT_TOKENS_H
#define TEXT_TOKENS_H

#include "format/file/dir_list.h"
#include "verify/tokenizer/tokenizer.h"

typedef struct text_tokens_request {
    const tokenizer *tokenizer;
    const dir_list *files; /* text_files_find */
    const char *field;     /* of JSON lines */
    size_t wanted;         /* enough tokens; SIZE_MAX: all */
    uint64_t vocab;        /* ids must be below; UINT64_MAX: any */
    const monitor *monitor;
} text_tokens_request;

/* *ended: no text was left unread. Errors: those of text_source_next and tokenizer_encode, with the
 * file and the line; ERR_INPUT an id outside the vocabulary, or more than TOKEN_INPUT_MAX_IDS tokens
 * before the last text. */
MUST_CHECK err_code text_tokens(const text_tokens_request *r, token_list *out, bool *ended, err *e);

#endif
