/* Headers: the input is the length of the data in two bytes, then the text of a header. The tensors
 * of an accepted header must cover the data without gaps. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "format/tensor/tensor_name.h"
#include "format/base/num.h"
#include "format/safetensors/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const char *text = (const char *)data + 2;
    const uint64_t file_bytes = 8 + (size - 2) + le16_load(data);
    st_header h;
    err e = {0};
    const err_code code = st_header_parse("f", text, size - 2, file_bytes, NULL, &h, &e);
    if (code != OK) {
        if (code != e.code || !e.text[0] || h.tensors || h.names) {
            __builtin_trap();
        }
        return 0;
    }
    uint64_t cursor = h.header_bytes;
    for (size_t i = 0; i < h.count; i++) {
        const st_tensor *t = &h.tensors[i];
        if (t->off != cursor || t->ndim > TENSOR_MAX_DIMS ||
            !name_valid(t->name, strlen(t->name))) {
            __builtin_trap();
        }
        cursor += t->bytes;
    }
    if (cursor != file_bytes) {
        __builtin_trap();
    }
    st_header_free(&h);
    return 0;
}
