/* Dumped activations: the input is a whole file. Every tensor is read by its name, both as values
 * and as indices. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/safetensors/safetensors.h"
#include "tests/aid/small_pack.h"
#include "verify/forward/reference.h"

enum { MAX_ELEMENTS = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        __builtin_trap();
    }
}

static void read_ids(const reference *r)
{
    uint32_t *ids = NULL;
    size_t sequences = 0;
    size_t length = 0;
    err e = {0};
    const err_code code = reference_ids(r, &ids, &sequences, &length, &e);
    require(code == e.code && (code == OK) == (ids != NULL));
    require(code != OK || (sequences > 0 && length > 0 && reference_has(r, "input_ids")));
    free(ids);
}

static void read_tensor(const reference *r, const st_tensor *t)
{
    static float values[MAX_ELEMENTS];
    static uint32_t indices[MAX_ELEMENTS];
    uint64_t rows = 1;
    for (unsigned i = 0; i + 1 < t->ndim; i++) {
        rows *= t->shape[i];
    }
    const uint64_t cols = t->ndim ? t->shape[t->ndim - 1] : 1;
    require(reference_has(r, t->name) && reference_check(r, t->name, rows, cols, NULL) == OK);
    require(reference_check(r, t->name, rows + 1, cols, NULL) == ERR_INPUT);
    const uint64_t last = rows > 0 ? rows - 1 : 0;
    if (cols > MAX_ELEMENTS) { /* such a tensor has no elements, or the input was long */
        return;
    }
    const err_code as_values =
        reference_read_rows(r, t->name, last, rows - last, cols, values, NULL);
    const err_code as_indices =
        reference_read_indices(r, t->name, last, rows - last, cols, indices, NULL);
    require(as_values == OK || as_values == ERR_INPUT);
    require(as_indices == OK || as_indices == ERR_INPUT);
    require(as_values != OK || as_indices != OK);
    require(reference_read_rows(r, t->name, last, rows - last + 1, cols, values, NULL) ==
            ERR_INPUT);
}

static void read_all(const reference *r, int fd, size_t size)
{
    st_header h;
    require(st_header_read(fd, "f", size, NULL, &h, NULL) == OK);
    for (size_t i = 0; i < h.count; i++) {
        read_tensor(r, &h.tensors[i]);
    }
    st_header_free(&h);
    read_ids(r);
    for (int hf = 0; hf < 2; hf++) {
        const char *const name = reference_logits(r, hf != 0);
        require(!name || reference_has(r, name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    const int fd = small_memfd(data, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    reference *r = NULL;
    err e = {0};
    const err_code code = reference_open(path, &r, &e);
    require(code == e.code && (code == OK) == (r != NULL));
    if (code == OK) {
        read_all(r, fd, size);
    }
    reference_close(r);
    close(fd);
    return 0;
}
