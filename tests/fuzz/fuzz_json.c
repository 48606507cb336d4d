/* JSON as a configuration and as an index; and its canonical form, which must not change when it is
 * parsed and written again. The first byte decides whether large integers may become reals. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "format/json/json_edit.h"
#include "format/quantized/quantization.h"
#include "format/checkpoint/shard_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_index(json_t *value)
{
    shard_index index;
    err e = {0};
    if (shard_index_build("i", value, &index, &e) == OK) {
        for (size_t i = 0; i < index.count; i++) {
            const index_entry *entry = &index.entries[i];
            if (entry->shard >= index.shard_count ||
                !shard_name_valid(index.shards[entry->shard]) ||
                (i > 0 && strcmp(index.entries[i - 1].tensor, entry->tensor) >= 0)) {
                __builtin_trap();
            }
        }
    }
    shard_index_free(&index);
}

static void check_canonical(const json_t *value)
{
    size_t bytes = 0;
    size_t again_bytes = 0;
    char *text = json_canonical(value, &bytes);
    json_t *again = NULL;
    if (text) {
        if (json_parse("c", text, bytes, JSON_EXACT, &again, NULL) != OK ||
            !json_equal(value, again)) {
            __builtin_trap();
        }
        char *same = json_canonical(again, &again_bytes);
        if (!same || bytes != again_bytes || memcmp(text, same, bytes) != 0) {
            __builtin_trap();
        }
        free(same);
    }
    json_decref(again);
    free(text);
}

/* Without its descriptions of a quantization, the text of an object is valid and has none. */
static void check_descriptions(const char *text, size_t bytes, json_form form)
{
    size_t left = 0;
    json_t *again = NULL;
    err e = {0};
    quantization before = {0};
    quantization after = {0};
    char *out = json_edit_remove_objects(text, bytes, quantization_is_description, &left);
    const bool silent =
        quantization_read(&before, "config.json", text, bytes, &e) != OK && e.text[0] == '\0';
    if (silent || !out || left > bytes || json_parse("d", out, left, form, &again, NULL) != OK ||
        quantization_add(&after, "config.json", again, NULL) != OK || after.count != 0) {
        __builtin_trap();
    }
    json_decref(again);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *value = NULL;
    err e = {0};
    if (size < 1) {
        return 0;
    }
    const json_form form = data[0] & 1 ? JSON_PYTHON : JSON_EXACT;
    const err_code code = json_parse("f", (const char *)data + 1, size - 1, form, &value, &e);
    if (code != e.code || (code == OK) != (value != NULL)) {
        __builtin_trap();
    }
    if (value) {
        check_index(value);
        check_canonical(value);
    }
    if (json_is_object(value)) {
        check_descriptions((const char *)data + 1, size - 1, form);
    }
    json_decref(value);
    return 0;
}
