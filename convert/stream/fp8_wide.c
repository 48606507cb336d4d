#include "convert/stream/fp8_wide.h"

#include "format/base/num.h"
#include "format/tensor/e4m3.h"
#include "format/tensor/scale_value.h"

void fp8_widen(const fp8_rows *r, float *to)
{
    const dtype type = r->pair->other->type;
    const size_t each = dtype_bits(type) / 8;
    float plain[256];
    for (unsigned c = 0; c < 256; c++) {
        plain[c] = e4m3_decode((uint8_t)c);
    }
    const uint64_t height = block_height(r->pair->block, r->row + r->rows);
    const uint64_t width = block_width(r->pair->block, r->cols);
    for (uint64_t i = 0; i < r->rows; i++) {
        const uint64_t down = (r->row + i) / height - r->band.first;
        const unsigned char *const codes = r->codes + i * r->cols;
        float *const x = to + i * r->cols;
        for (uint64_t k = 0, j = 0; j < r->cols; k++) {
            const float scale = scale_value(type, r->scales + (down * r->band.across + k) * each);
            const uint64_t end = num_min(r->cols, j + width);
            for (; j < end; j++) {
                x[j] = plain[codes[j]] * scale;
            }
        }
    }
}
