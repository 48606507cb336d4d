/* Input for measurements: token ids and texts, read from files.
 *
 *     token_input_read("ids.npy", vocab, &in, e);
 *     ... in.ids[0 ... in.count - 1]; in rows of in.row ids unless that is 0 ...
 *     token_input_free(&in);
 *
 * The format of a file is recognized by its content, not by its name. Ids:
 *   - JSON: an array of integers, or an array of such arrays of equal length;
 *   - .npy, version 1.0, 2.0 or 3.0: little-endian int32 or int64, C order, one or two dimensions;
 *   - safetensors: the tensor input_ids, or the only one of I32 or I64; one or two dimensions.
 * A text is UTF-8 (tokenizer_encode checks that), plain or compressed
 * (text_packed.h); text_source.h reads many of them. */
#ifndef TOKEN_INPUT_H
#define TOKEN_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

enum { TOKEN_INPUT_MAX_IDS = 1 << 26, TOKEN_INPUT_MAX_TEXT = 256 << 20 };

typedef struct token_input {
    int32_t *ids;
    size_t count;
    size_t row; /* ids per row; 0: one flat list */
} token_input;

/* Read ids, all of which must be in [0, vocab). Errors: ERR_IO; ERR_INPUT malformed, or an id that
 * is not in the vocabulary (the message has the first one and its position); ERR_MEMORY. Free with
 * token_input_free; after an error there is nothing to free. */
MUST_CHECK err_code token_input_read(const char *path, uint64_t vocab, token_input *out, err *e);
void token_input_free(token_input *in);

/* ERR_INPUT for the first id that is not in [0, vocab). `what` names them; NULL: the caller does. */
MUST_CHECK err_code token_input_check(const char *what, const int32_t *ids, size_t count,
                                      uint64_t vocab, err *e);

/* Read a text of at most TOKEN_INPUT_MAX_TEXT bytes, packed and unpacked; "-" is standard input.
 * *text is the caller's to free(), with a NUL after its last byte. Errors: ERR_IO; ERR_INPUT too
 * large, or cannot be unpacked; ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code token_input_text(const char *path, const monitor *m, char **text, size_t *bytes,
                                     err *e);

#endif
