/* The tokens that verify runs the model on: of texts, of a file of ids, or of a reference.
 *
 *     TRY(verify_tokens_find(in, e));               in->texts
 *     TRY(verify_tokens_get(in, vocab, e));         in->tokens, and how they are divided
 */
#ifndef VERIFY_TOKENS_H
#define VERIFY_TOKENS_H

#include <sys/stat.h>

#include "bin/verify/verify_prepare.h"

/* Find the files of --text. The errors of text_files_find. */
MUST_CHECK err_code verify_tokens_find(verify_inputs *in, err *e);

/* A test of format/output/inputs.h: is this one of these files? */
MUST_CHECK err_code verify_tokens_is_text(const verify_inputs *in, const struct stat *st,
                                          bool *is_one, err *e);

/* Of the texts no more is read than the sequences need. A reference is opened and left open. Errors:
 * ERR_USAGE, ERR_IO, ERR_MEMORY, ERR_CANCELLED; ERR_INPUT malformed, ids that are not in the
 * vocabulary, no tokenizer, or not enough tokens for one sequence. */
MUST_CHECK err_code verify_tokens_get(verify_inputs *in, uint64_t vocab, err *e);

#endif
