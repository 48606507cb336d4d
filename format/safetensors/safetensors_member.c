#include "format/safetensors/safetensors_member.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "format/json/json.h"
#include "format/tensor/tensor_name.h"

static const char metadata_key[] = "__metadata__";

static err_code load_slice(st_slice s, size_t flags, json_t **out, err *e)
{
    return json_load_text(s.text, s.bytes, JSON_REJECT_DUPLICATES | flags, out, NULL, e);
}

static err_code read_number(const json_t *value, const char *what, uint64_t *number, err *e)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return err_set(e, ERR_INPUT, "%s: expected integers from 0 to 2^63 - 1", what);
    }
    *number = (uint64_t)json_integer_value(value);
    return OK;
}

static err_code read_dtype(const json_t *object, st_tensor *t, err *e)
{
    const json_t *value = json_object_get(object, "dtype");
    if (!json_is_string(value)) {
        return err_set(e, ERR_INPUT, "dtype is missing or not a string");
    }
    t->type = dtype_parse(json_string_value(value), json_string_length(value));
    if (t->type == DTYPE_NONE) {
        return err_set(e, ERR_INPUT, "unknown dtype \"%.40s\"", json_string_value(value));
    }
    return OK;
}

static err_code read_shape(const json_t *object, st_tensor *t, err *e)
{
    const json_t *value = json_object_get(object, "shape");
    if (!json_is_array(value)) {
        return err_set(e, ERR_INPUT, "shape is missing or not an array");
    }
    const size_t ndim = json_array_size(value);
    if (ndim > TENSOR_MAX_DIMS) {
        return err_set(e, ERR_INPUT, "%zu dimensions, at most %d are supported", ndim,
                       TENSOR_MAX_DIMS);
    }
    for (size_t i = 0; i < ndim; i++) {
        TRY(read_number(json_array_get(value, i), "shape", &t->shape[i], e));
    }
    t->ndim = (unsigned)ndim;
    return OK;
}

/* Sets t->off and t->bytes; the offset is still relative to the data area. */
static err_code read_range(const json_t *object, st_tensor *t, err *e)
{
    const json_t *value = json_object_get(object, "data_offsets");
    if (json_array_size(value) != 2) { /* it is 0 if this is no array */
        return err_set(e, ERR_INPUT, "data_offsets is missing or not an array of two");
    }
    uint64_t end = 0;
    TRY(read_number(json_array_get(value, 0), "data_offsets", &t->off, e));
    TRY(read_number(json_array_get(value, 1), "data_offsets", &end, e));
    if (end < t->off) {
        return err_set(e, ERR_INPUT,
                       "data_offsets end at %" PRIu64 ", before they start at %" PRIu64, end,
                       t->off);
    }
    t->bytes = end - t->off;
    return OK;
}

static err_code check_size(const st_tensor *t, err *e)
{
    uint64_t elements = 0;
    uint64_t bytes = 0;
    if (!dtype_tensor_bytes(t->type, t->shape, t->ndim, &elements, &bytes)) {
        return err_set(e, ERR_INPUT,
                       "shape and dtype %s do not give a whole number of bytes below 2^61",
                       dtype_name(t->type));
    }
    if (bytes != t->bytes) {
        return err_set(e, ERR_INPUT,
                       "shape and dtype %s: expected %" PRIu64 " bytes, found %" PRIu64
                       " between its data_offsets",
                       dtype_name(t->type), bytes, t->bytes);
    }
    return OK;
}

static err_code read_tensor(const json_t *object, st_tensor *t, err *e)
{
    TRY(read_dtype(object, t, e));
    TRY(read_shape(object, t, e));
    TRY(read_range(object, t, e));
    /* An unknown field could change what the bytes mean. */
    if (json_object_size(object) != 3) {
        return err_set(e, ERR_INPUT, "fields other than dtype, shape and data_offsets");
    }
    return check_size(t, e);
}

err_code st_member_tensor(st_slice text, st_tensor *t, err *e)
{
    json_t *object = NULL;
    TRY(load_slice(text, 0, &object, e));
    const err_code code = read_tensor(object, t, e);
    json_decref(object);
    return code;
}

err_code st_member_metadata(st_slice text, err *e)
{
    json_t *object = NULL;
    err_code code = load_slice(text, JSON_ALLOW_NUL, &object, e);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value)) {
            code = err_set(e, ERR_INPUT, "\"%.80s\" is not a string", key);
            break;
        }
    }
    json_decref(object);
    if (code != OK) {
        err_prefix(e, "%s", metadata_key);
    }
    return code;
}

bool st_member_is_metadata(const char *name, size_t bytes)
{
    return bytes == sizeof metadata_key - 1 && memcmp(name, metadata_key, bytes) == 0;
}

err_code st_member_key(st_slice text, char *to, size_t *bytes, err *e)
{
    /* An escape has at most six characters for each byte of the name: a longer key is refused before
     * it is unescaped. */
    if (text.bytes > 6 * NAME_MAX_BYTES + 2) {
        return err_set(e, ERR_INPUT, "a name of %zu bytes, at most %d are allowed", text.bytes - 2,
                       NAME_MAX_BYTES);
    }
    json_t *key = NULL;
    TRY(load_slice(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &key, e));
    *bytes = json_string_length(key);
    memcpy(to, json_string_value(key), *bytes);
    to[*bytes] = '\0';
    json_decref(key);
    return OK;
}

err_code st_member_check_name(const char *name, size_t bytes, err *e)
{
    if (!name_valid(name, bytes)) {
        return err_set(e, ERR_INPUT,
                       "tensor \"%.80s\": a name has 1 to %d bytes and no control characters, this "
                       "one has %zu bytes",
                       name, NAME_MAX_BYTES, bytes);
    }
    if (strchr(name, '*')) {
        return err_set(e, ERR_INPUT, "tensor %s: '*' in a name is not supported", name);
    }
    return OK;
}
