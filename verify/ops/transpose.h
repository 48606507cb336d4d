/* Transposes matrices of floats, for levelled sources: blocks of 8 x 8 in vectors. */
#ifndef TRANSPOSE_H
#define TRANSPOSE_H

#include <stddef.h>
#include <string.h>

enum { TRANSPOSE_SIDE = 8 };

typedef float transpose_row __attribute__((vector_size(TRANSPOSE_SIDE * sizeof(float))));

/* Interleave row i with row i + 4, three times: each time, one bit of the row number becomes a bit
 * of the column number. */
static inline __attribute__((always_inline)) void transpose_block(const float *from, size_t stride,
                                                                  float *to, size_t to_stride)
{
    transpose_row a[TRANSPOSE_SIDE];
    transpose_row b[TRANSPOSE_SIDE];
    for (size_t i = 0; i < TRANSPOSE_SIDE; i++) {
        memcpy(&a[i], from + i * stride, sizeof a[i]);
    }
    for (int stage = 0; stage < 3; stage++) {
        for (size_t i = 0; i < TRANSPOSE_SIDE / 2; i++) {
            const transpose_row low = a[i];
            const transpose_row high = a[i + TRANSPOSE_SIDE / 2];
            b[2 * i] = __builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
            b[2 * i + 1] = __builtin_shufflevector(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
        }
        memcpy(a, b, sizeof a);
    }
    for (size_t i = 0; i < TRANSPOSE_SIDE; i++) {
        memcpy(to + i * to_stride, &a[i], sizeof a[i]);
    }
}

/* to[j][i] = from[i][j] for i < rows, j < cols. */
static inline void transpose(const float *from, size_t stride, size_t rows, size_t cols, float *to,
                             size_t to_stride)
{
    const size_t whole_rows = rows - rows % TRANSPOSE_SIDE;
    const size_t whole_cols = cols - cols % TRANSPOSE_SIDE;
    for (size_t i = 0; i < whole_rows; i += TRANSPOSE_SIDE) {
        for (size_t j = 0; j < whole_cols; j += TRANSPOSE_SIDE) {
            transpose_block(from + i * stride + j, stride, to + j * to_stride + i, to_stride);
        }
    }
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = i < whole_rows ? whole_cols : 0; j < cols; j++) {
            to[j * to_stride + i] = from[i * stride + j];
        }
    }
}

#endif
