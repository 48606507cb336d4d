/* The text of a tiktoken.model, a NUL, the code of a tokenizer, a NUL, tokenizer_config.json, a NUL,
 * and a text. An accepted tokenizer gives the same ids twice. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "verify/tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 3 };

static const char *const names[FILES] = {"tiktoken.model", "code.py", "tokenizer_config.json"};

typedef struct input {
    const char *text[FILES];
    size_t bytes[FILES];
} input;

static err_code read_file(void *ctx, const char *name, char **data, size_t *bytes, err *e)
{
    const input *const in = ctx;
    *data = NULL;
    for (int i = 0; i < FILES; i++) {
        if (strcmp(name, names[i]) == 0) {
            *data = strndup(in->text[i], in->bytes[i]);
            *bytes = in->bytes[i];
            return *data ? OK : err_set(e, ERR_MEMORY, "no memory");
        }
    }
    return OK;
}

static void encode(const tokenizer *t, const char *text, size_t bytes)
{
    token_list ids = {0};
    token_list again = {0};
    err e = {0};
    const err_code code = tokenizer_encode(t, text, bytes, NULL, &ids, &e);
    if (code != e.code || (code != OK && !e.text[0])) {
        __builtin_trap();
    }
    if (tokenizer_encode(t, text, bytes, NULL, &again, NULL) != code || ids.count != again.count ||
        (ids.count && memcmp(ids.ids, again.ids, ids.count * sizeof *ids.ids) != 0)) {
        __builtin_trap();
    }
    token_list_free(&ids);
    token_list_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in;
    const char *at = (const char *)data;
    size_t left = size;
    for (int i = 0; i < FILES; i++) {
        const char *const end = left ? memchr(at, '\0', left) : NULL;
        if (!end) {
            return 0;
        }
        in.text[i] = at;
        in.bytes[i] = (size_t)(end - at);
        left -= in.bytes[i] + 1;
        at = end + 1;
    }
    tokenizer *t = NULL;
    err e = {0};
    const err_code code = tokenizer_load("dir", read_file, &in, NULL, &t, &e);
    if (code != e.code || (code == OK) != (t != NULL)) {
        __builtin_trap();
    }
    if (t) {
        encode(t, at, left);
    }
    tokenizer_free(t);
    return 0;
}
