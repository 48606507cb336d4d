/* Headers of .npy files. What is accepted is written again as numpy writes it, and must mean the
 * same. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/fuzz/fuzz_aid.h"
#include "verify/tokenizer/token_npy.h"

static void check_header(const npy_header *h)
{
    char text[160];
    char shape[80];
    npy_header again;
    require(h->ndim <= NPY_MAX_DIMS);
    if (h->ndim == 2) {
        snprintf(shape, sizeof shape, "%" PRIu64 ", %" PRIu64, h->shape[0], h->shape[1]);
    } else {
        snprintf(shape, sizeof shape, "%" PRIu64 ",", h->shape[0]);
    }
    const int length =
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n",
                 h->wide ? "<i8" : "<i4", shape);
    require(npy_read_header(text, (size_t)length, &again, NULL) == OK);
    require(again.wide == h->wide && again.ndim == h->ndim);
    require(memcmp(again.shape, h->shape, h->ndim * sizeof *h->shape) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t text_off = 0;
    uint64_t data_off = 0;
    npy_header h;
    err e = {0};
    if (size < NPY_PREFIX_BYTES) {
        return 0;
    }
    npy_is_npy(data, size);
    const err_code prefix = npy_read_prefix(data, &text_off, &data_off, &e);
    check_code(prefix, &e);
    require(prefix == ERR_INPUT || (text_off <= NPY_PREFIX_BYTES && text_off <= data_off &&
                                    data_off - text_off <= NPY_MAX_HEADER));
    if (prefix == OK && data_off <= size) {
        const char *const text = (const char *)data + text_off;
        const err_code code = npy_read_header(text, data_off - text_off, &h, &e);
        check_code(code, &e);
        require(code == OK || code == ERR_INPUT);
        if (code == OK) {
            check_header(&h);
        }
    }
    return 0;
}
