/* What fuzz targets share: conditions, the parts of an input, lists of tensors written as text.
 *
 *     input in = {(const char *)data, (const char *)data + size};
 *     char *config = take_text(&in, &bytes);            up to the next NUL; free(config)
 *     check_code(thing_parse(config, bytes, &e), &e);   no internal error, no error without a text
 */
#ifndef FUZZ_AID_H
#define FUZZ_AID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/err.h"
#include "format/tensor/dtype.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool holds)
{
    if (!holds) {
        __builtin_trap();
    }
}

/* An input is never an internal error, and the small inputs of a fuzzer never take too much memory.
 */
static inline void check_code(err_code code, const err *e)
{
    require(code == e->code && (code == OK || e->text[0]));
    require(code != ERR_INTERNAL && code != ERR_MEMORY && code != ERR_CANCELLED);
}

typedef struct input {
    const char *next, *end;
} input;

static inline unsigned take_byte(input *in)
{
    return in->next < in->end ? (unsigned char)*in->next++ : 0;
}

/* The text up to the next NUL or the end, with a NUL after it: a copy, so that the address sanitizer
 * notices a read after its end. The caller's to free(). */
static inline char *take_text(input *in, size_t *bytes)
{
    const size_t left = (size_t)(in->end - in->next);
    const char *const end = left ? memchr(in->next, '\0', left) : NULL;
    *bytes = end ? (size_t)(end - in->next) : left;
    char *const text = malloc(*bytes + 1);
    require(text != NULL);
    memcpy(text, in->next, *bytes);
    text[*bytes] = '\0';
    in->next += *bytes + (end ? 1 : 0);
    return text;
}

/* ---- lists of tensors ------------------------------------------ */

enum { FUZZ_TENSORS = 24 };

typedef struct fuzz_tensor {
    char *name;
    dtype type;
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    uint64_t bytes;
} fuzz_tensor;

typedef struct fuzz_tensors {
    fuzz_tensor all[FUZZ_TENSORS]; /* sorted by name; names are unique */
    size_t count;
} fuzz_tensors;

/* "BF16 3x4 NAME"; no shape: "BF16 - NAME". False: the line is none of these, or too large. */
static inline bool read_tensor(char *line, fuzz_tensor *t)
{
    char *at = strchr(line, ' ');
    *t = (fuzz_tensor){0};
    t->type = at ? dtype_parse(line, (size_t)(at - line)) : DTYPE_NONE;
    if (t->type == DTYPE_NONE) {
        return false;
    }
    for (at++; *at >= '0' && *at <= '9' && t->ndim < TENSOR_MAX_DIMS; at += *at == 'x') {
        t->shape[t->ndim++] = strtoull(at, &at, 10);
    }
    at += *at == '-';
    uint64_t elements = 0;
    t->name = at + 1;
    return *at == ' ' && at[1] && !strpbrk(t->name, "\"\\") &&
           dtype_tensor_bytes(t->type, t->shape, t->ndim, &elements, &t->bytes) &&
           t->bytes < (uint64_t)1 << 50;
}

static inline int compare_fuzz_tensor(const void *a, const void *b)
{
    return strcmp(((const fuzz_tensor *)a)->name, ((const fuzz_tensor *)b)->name);
}

/* The lines of a text that name tensors; names point into the text, which is changed. */
static inline void read_tensors(char *text, fuzz_tensors *out)
{
    out->count = 0;
    for (char *line = text; line && out->count < FUZZ_TENSORS;) {
        char *const end = strchr(line, '\n');
        if (end) {
            *end = '\0';
        }
        out->count += read_tensor(line, &out->all[out->count]);
        line = end ? end + 1 : NULL;
    }
    if (out->count == 0) {
        return;
    }
    qsort(out->all, out->count, sizeof out->all[0], compare_fuzz_tensor);
    size_t kept = 1;
    for (size_t i = 1; i < out->count; i++) {
        if (strcmp(out->all[i].name, out->all[kept - 1].name) != 0) {
            out->all[kept++] = out->all[i];
        }
    }
    out->count = kept;
}

static inline bool has_fuzz_tensor(const void *list, const char *name)
{
    const fuzz_tensors *const l = list;
    const fuzz_tensor wanted = {.name = (char *)name};
    return l->count && bsearch(&wanted, l->all, l->count, sizeof wanted, compare_fuzz_tensor);
}

#endif
