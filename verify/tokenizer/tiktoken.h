/* tiktoken.model: a vocabulary of byte strings with ranks, as Kimi has it instead of a
 * tokenizer.json. Used by tokenizer.c.
 *
 *     TRY(tiktoken_read_ranks(text, bytes, m, &model, e));
 *     TRY(tiktoken_read_pattern(code, &pattern, e));
 *     TRY(tiktoken_read_special(config, model.count, code, &set, e));
 *
 * The file has neither the pattern that splits a text nor the special tokens. The pattern is in the
 * code of the checkpoint's tokenizer, where it is recognized literally; special tokens are in
 * tokenizer_config.json. spec/tokenizer.md section 5. */
#ifndef TIKTOKEN_H
#define TIKTOKEN_H

#include "verify/tokenizer/tokenizer_parts.h"

enum {
    TIKTOKEN_MAX_BYTES = 256,     /* of a token */
    TIKTOKEN_MAX_RANKS = 1 << 21, /* as many as JSON may have */
};

/* Read lines of base64, a space and a rank, which is the id. Free the model by bpe_free in every
 * case. ERR_INPUT, also for more than TIKTOKEN_MAX_RANKS; ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code tiktoken_read_ranks(const char *text, size_t bytes, const monitor *m,
                                        bpe_model *out, err *e);

/* Find the pattern in the code of a tokenizer, which ends with NUL. ERR_INPUT: no known one. */
MUST_CHECK err_code tiktoken_read_pattern(const char *code, pattern **out, err *e);

/* Read added_tokens_decoder of tokenizer_config.json (NULL: none); the ids from `first` on that it
 * does not name are reserved tokens. Free the set by added_free in every case. ERR_INPUT,
 * ERR_MEMORY. */
MUST_CHECK err_code tiktoken_read_special(const json_t *config, size_t first, const char *code,
                                          added_set *out, err *e);

#endif
