#include "format/tensor/dtype.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/base/num.h"

static const struct {
    const char *name;
    unsigned bits;
} table[DTYPE_COUNT] = {
#define X(name, number, bits) [number] = {#name, bits},
    DTYPE_LIST(X)
#undef X
};

bool dtype_known(uint64_t number)
{
    return number > 0 && number < DTYPE_COUNT;
}

const char *dtype_name(dtype t)
{
    return dtype_known(t) ? table[t].name : "?";
}

unsigned dtype_bits(dtype t)
{
    return dtype_known(t) ? table[t].bits : 0;
}

dtype dtype_parse(const char *name, size_t length)
{
    for (unsigned t = 1; t < DTYPE_COUNT; t++) {
        if (strlen(table[t].name) == length && memcmp(table[t].name, name, length) == 0) {
            return (dtype)t;
        }
    }
    return DTYPE_NONE;
}

bool dtype_tensor_bytes(dtype t, const uint64_t *shape, unsigned ndim, uint64_t *elements,
                        uint64_t *bytes)
{
    uint64_t count = 1;
    uint64_t bits = 0;
    for (unsigned i = 0; i < ndim; i++) {
        if (!num_mul(count, shape[i], &count)) {
            return false;
        }
    }
    if (!num_mul(count, dtype_bits(t), &bits) || bits % 8 != 0) {
        return false;
    }
    *elements = count;
    *bytes = bits / 8;
    return true;
}

const char *dtype_shape_text(const uint64_t *shape, unsigned ndim, char text[SHAPE_TEXT_BYTES])
{
    size_t used = (size_t)snprintf(text, SHAPE_TEXT_BYTES, "[");
    for (unsigned i = 0; i < ndim; i++) {
        used += (size_t)snprintf(text + used, SHAPE_TEXT_BYTES - used, "%s%" PRIu64, i ? "," : "",
                                 shape[i]);
    }
    snprintf(text + used, SHAPE_TEXT_BYTES - used, "]");
    return text;
}
