/* Element types: the safetensors names, and the numbers under which a packed file stores them
 * (spec/format.md 5.1). */
#ifndef DTYPE_H
#define DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The maximum number of dimensions of a tensor. */
enum { TENSOR_MAX_DIMS = 6 };

/* name, number in a packed file (never reused), bits of one element */
#define DTYPE_LIST(X)                                                                              \
    X(F8_E4M3, 1, 8)                                                                               \
    X(F8_E5M2, 2, 8)                                                                               \
    X(BF16, 3, 16)                                                                                 \
    X(F16, 4, 16)                                                                                  \
    X(F32, 5, 32)                                                                                  \
    X(I64, 6, 64)                                                                                  \
    X(I32, 7, 32)                                                                                  \
    X(U8, 8, 8)                                                                                    \
    X(F8_E8M0, 9, 8)                                                                               \
    X(F64, 10, 64)                                                                                 \
    X(BOOL, 11, 8)                                                                                 \
    X(I8, 12, 8)                                                                                   \
    X(I16, 13, 16)                                                                                 \
    X(U16, 14, 16)                                                                                 \
    X(U32, 15, 32)                                                                                 \
    X(U64, 16, 64)                                                                                 \
    X(C64, 17, 64)                                                                                 \
    X(F4, 18, 4)                                                                                   \
    X(F6_E2M3, 19, 6)                                                                              \
    X(F6_E3M2, 20, 6)                                                                              \
    X(F8_E4M3FNUZ, 21, 8)                                                                          \
    X(F8_E5M2FNUZ, 22, 8)

/* One byte, because it is stored in tables of 100,000 records. */
typedef enum __attribute__((packed)) dtype {
    DTYPE_NONE = 0,
#define X(name, number, bits) DTYPE_##name = (number),
    DTYPE_LIST(X)
#undef X
        DTYPE_COUNT
} dtype;

bool dtype_known(uint64_t number);
const char *dtype_name(dtype t); /* "BF16"; "?" for an unknown number */
unsigned dtype_bits(dtype t);    /* bits of one element, 0 for an unknown number */

/* The dtype called `name` (`length` bytes, upper case as in safetensors headers), DTYPE_NONE if
 * there is none. */
dtype dtype_parse(const char *name, size_t length);

/* Bytes of a tensor: product(shape) x bits / 8 into *bytes, product(shape) into *elements.
 * False if a product overflows or the tensor is not a whole number of bytes. */
bool dtype_tensor_bytes(dtype t, const uint64_t *shape, unsigned ndim, uint64_t *elements,
                        uint64_t *bytes);

/* "[3,12,40]", for messages; at most six dimensions. Returns `text`. */
enum { SHAPE_TEXT_BYTES = 160 };
const char *dtype_shape_text(const uint64_t *shape, unsigned ndim, char text[SHAPE_TEXT_BYTES]);

#endif
