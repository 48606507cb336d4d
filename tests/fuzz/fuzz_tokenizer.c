/* A tokenizer.json, a NUL, and a text. An accepted tokenizer gives the same ids twice. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "verify/tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    for (size_t i = 0; i < ids.count; i++) {
        if (ids.ids[i] < 0) {
            __builtin_trap();
        }
    }
    token_list_free(&ids);
    token_list_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *const json = (const char *)data;
    const char *const end = size ? memchr(json, '\0', size) : NULL;
    const size_t bytes = end ? (size_t)(end - json) : size;
    tokenizer *t = NULL;
    err e = {0};
    const err_code code = tokenizer_create("t.json", json, bytes, NULL, &t, &e);
    if (code != e.code || (code == OK) != (t != NULL)) {
        __builtin_trap();
    }
    if (t && end) {
        encode(t, end + 1, size - bytes - 1);
    }
    tokenizer_free(t);
    return 0;
}
