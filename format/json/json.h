/* JSON from strangers, and JSON with one spelling.
 *
 * jansson does the parsing; before it sees a text, a scan without allocation bounds size and depth,
 * and duplicate keys are refused. Callers work with json_t directly and release it with
 * json_decref. */
#ifndef JSON_H
#define JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

enum {
    JSON_FILE_LIMIT = 64 << 20,
    JSON_MAX_DEPTH = 64,
    JSON_MAX_NESTS =
        1 << 20, /* objects and arrays; the largest tokenizer files have half as many */
    JSON_MAX_VALUES = 2 << 20
};

/* Parse `bytes` bytes of JSON text; `what` names it in messages. With `reals`, integers beyond 64
 * bits become reals (config and tokenizer files have them); without, they are an error. Errors:
 * ERR_INPUT. */
MUST_CHECK err_code json_parse(const char *what, const char *text, size_t bytes, bool reals,
                               json_t **out, err *e);

/* Read and parse a file of at most JSON_FILE_LIMIT bytes. */
MUST_CHECK err_code json_parse_file(const char *path, bool reals, json_t **out, err *e);

/* What jansson had to say, as an err without a position: ERR_INPUT, or ERR_MEMORY when it has
 * nothing to say. */
err_code json_failure(const json_error_t *why, err *e);

/* Canonical JSON (spec/format.md section 1) in fresh memory, *bytes long and NUL-terminated; NULL
 * if `value` holds a real, a boolean or null, or memory is short. free() it. */
char *json_canonical(const json_t *value, size_t *bytes);

#endif
