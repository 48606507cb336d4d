#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "verify/tokenizer/tokenizer_parts.h"

enum { VALUE_BYTES = 80 };

err_code tokenizer_refuse(const char *path, const json_t *value, err *e)
{
    if (!value) {
        return err_set(e, ERR_INPUT, "%s: missing", path);
    }
    char *const text = json_write_text(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text) {
        return err_set(e, ERR_MEMORY, "%s: no memory for its value", path);
    }
    err_set(e, ERR_INPUT, "%s: %.*s%s is not supported", path, VALUE_BYTES, text,
            strlen(text) > VALUE_BYTES ? "..." : "");
    free(text);
    return ERR_INPUT;
}

err_code tokenizer_check_keys(const char *path, const json_t *value, const char *const *keys,
                              err *e)
{
    const char *key = NULL;
    json_t *member = NULL;
    if (!json_is_object(value)) {
        return tokenizer_refuse(path, value, e);
    }
    json_object_foreach((json_t *)value, key, member)
    {
        const char *const *known = keys;
        while (*known && strcmp(*known, key) != 0) {
            known++;
        }
        if (!*known) {
            char place[256];
            snprintf(place, sizeof place, "%s.%s", path, key);
            return tokenizer_refuse(place, member, e);
        }
    }
    return OK;
}

err_code tokenizer_read_flag(const char *path, const json_t *object, const char *key, int missing,
                             bool *out, err *e)
{
    const json_t *const value = json_object_get(object, key);
    if (json_is_boolean(value) || (!value && missing >= 0)) {
        *out = value ? json_is_true(value) : missing > 0;
        return OK;
    }
    char place[256];
    snprintf(place, sizeof place, "%s.%s", path, key);
    return tokenizer_refuse(place, value, e);
}

bool tokenizer_is_type(const json_t *object, const char *type)
{
    const char *const found = json_string_value(json_object_get(object, "type"));
    return found && strcmp(found, type) == 0;
}

err_code tokenizer_read_id(const char *path, const json_t *value, int32_t *out, err *e)
{
    const json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || id > INT32_MAX) {
        return tokenizer_refuse(path, value, e);
    }
    *out = (int32_t)id;
    return OK;
}
