#include "convert/plain/dequantize.h"

#include <string.h>

#include "format/base/num.h"
#include "format/tensor/float_bits.h"
#include "format/tensor/e4m3.h"
#include "format/tensor/scale_value.h"

enum { CODES = 256, F32_BYTES = 4, HALF_BYTES = 2 };

/* The number added carries into the upper half if the lower half is more than one half of its range,
 * or exactly one half and the upper half is odd. */
uint16_t bf16_round(float x)
{
    const uint32_t bits = float_bits(x);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        return (uint16_t)(bits >> 16 | 0x40); /* quiet, so that it does not become an infinity */
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t f16_round(float x)
{
    const uint32_t bits = float_bits(x);
    const uint32_t magnitude = bits & 0x7fffffff;
    const uint32_t sign = bits >> 16 & 0x8000;
    if (magnitude > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00);
    }
    if (magnitude < 113U << 23) { /* below 2^-14 the step is 2^-24, the last bit of 0.5 */
        const float sum = float_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (float_bits(sum) - float_bits(0.5f)));
    }
    const uint32_t rounded = (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
    const uint32_t moved = rounded - (112U << 10); /* the exponent, from bias 127 to 15 */
    return (uint16_t)(sign | (moved < 0x7bff ? moved : 0x7bff));
}

/* The value of each code in one tile. With a table of 256 values a tile costs one lookup for each
 * element, and rounding to 16 bits costs nothing for each element. */
static void scale_codes(const float *plain, float scale, float *scaled)
{
    for (unsigned c = 0; c < CODES; c++) {
        scaled[c] = plain[c] * scale;
    }
}

static void tile_f32(const code_band *b, size_t row, size_t col, const float *scaled,
                     unsigned char *to)
{
    const size_t rows = num_min(b->block.rows, b->rows - row);
    const size_t cols = num_min(b->block.cols, b->cols - col);
    for (size_t i = row; i < row + rows; i++) {
        for (size_t j = col; j < col + cols; j++) {
            const size_t at = i * b->cols + j;
            le32_store(to + at * F32_BYTES, float_bits(scaled[b->codes[at]]));
        }
    }
}

/* BF16 or F16. */
static void tile_half(const code_band *b, size_t row, size_t col, const float *scaled, dtype as,
                      unsigned char *to)
{
    const size_t rows = num_min(b->block.rows, b->rows - row);
    const size_t cols = num_min(b->block.cols, b->cols - col);
    uint16_t rounded[CODES];
    for (unsigned c = 0; c < CODES; c++) {
        rounded[c] = as == DTYPE_BF16 ? bf16_round(scaled[c]) : f16_round(scaled[c]);
    }
    for (size_t i = row; i < row + rows; i++) {
        for (size_t j = col; j < col + cols; j++) {
            const size_t at = i * b->cols + j;
            le16_store(to + at * HALF_BYTES, rounded[b->codes[at]]);
        }
    }
}

void dequantize(const code_band *b, dtype as, unsigned char *to)
{
    float plain[CODES];
    float scaled[CODES];
    const unsigned char *scale = b->scales;
    const size_t each = dtype_bits(b->scale_type) / 8;
    for (unsigned c = 0; c < CODES; c++) {
        plain[c] = e4m3_decode((uint8_t)c);
    }
    for (size_t row = 0; row < b->rows; row += b->block.rows) {
        for (size_t col = 0; col < b->cols; col += b->block.cols) {
            scale_codes(plain, scale_value(b->scale_type, scale), scaled);
            if (as == DTYPE_F32) {
                tile_f32(b, row, col, scaled, to);
            } else {
                tile_half(b, row, col, scaled, as, to);
            }
            scale += each;
        }
    }
}
