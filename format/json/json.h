/* Parsing JSON from untrusted files, and writing canonical JSON.
 *
 *     json_t *root;
 *     json_parse_file("config.json", JSON_PYTHON, &root, e);
 *     ... json_object_get(root, "head_dim") ...
 *     json_decref(root);
 *
 * jansson does the parsing, and duplicate keys are refused. Before it sees a text, a scan that
 * allocates nothing bounds size, depth, number of values, and the memory that their tree takes. The
 * scan is hand-written because jansson has no such limits: its maximum depth of 2048 is fixed, and
 * 64 MB of "[],[],[]," would become gigabytes of small allocations before a caller could refuse it. */
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
        1 << 20, /* objects and arrays; the largest tokenizer files have half a million */
    JSON_MAX_VALUES = 2 << 20,
    JSON_MAX_TREE = 64 << 20,       /* bytes of memory; configurations take at most a few MB */
    JSON_MAX_LARGE_TREE = 512 << 20 /* of JSON_LARGE: the largest tokenizers take about 260 MB */
};

/* Who wrote a text; with JSON_LARGE if it may list the tensors of a model or the tokens of a
 * tokenizer, as in JSON_PYTHON | JSON_LARGE. */
typedef enum json_form {
    JSON_EXACT = 0, /* by the standard; integers that do not fit in 64 bits are an error */
    /* What Python's json.dump writes, as in the files of a checkpoint: integers that do not fit in
     * 64 bits become reals, and the literals Infinity, -Infinity and NaN, which no JSON value can
     * be, become the strings of that spelling. */
    JSON_PYTHON = 1,
    JSON_LARGE = 2,
    JSON_LINE = 4 /* one line of a file: messages have no number of a line */
} json_form;

/* Parse `bytes` bytes of JSON text; `what` names it in messages. *out: json_decref; NULL after an
 * error. Errors: ERR_INPUT, ERR_MEMORY. */
MUST_CHECK err_code json_parse(const char *what, const char *text, size_t bytes, json_form form,
                               json_t **out, err *e);

/* The same for a file of at most JSON_FILE_LIMIT bytes; also ERR_IO. */
MUST_CHECK err_code json_parse_file(const char *path, json_form form, json_t **out, err *e);

/* jansson's json_loadb for text whose size and depth are bounded already, safe when memory is short;
 * `flags` are jansson's. The message is jansson's, with the number of the line in *line (which may be
 * NULL) instead of in the text. Errors: ERR_INPUT, ERR_MEMORY. */
MUST_CHECK err_code json_load_text(const char *text, size_t bytes, size_t flags, json_t **out,
                                   int *line, err *e);

/* jansson's json_dumps, the caller's to free(). NULL: no memory. json_dumps itself loses keys when
 * memory is short, and succeeds. */
char *json_write_text(const json_t *value, size_t flags);

/* Canonical JSON (spec/format.md section 1), *bytes long and NUL-terminated, the caller's to free();
 * NULL if `value` contains a real, a boolean or null, or memory is short. */
char *json_canonical(const json_t *value, size_t *bytes);

#endif
