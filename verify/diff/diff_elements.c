/* Elements of two tensors of one dtype: how many differ, and by how much if they are numbers.
 *
 * Most of what is compared is equal, so memcmp decides for a batch of elements, and only batches
 * that differ are widened. */
#include <math.h>
#include <string.h>

#include "format/base/num.h"
#include "format/tensor/e4m3.h"
#include "format/tensor/widen.h"
#include "verify/diff/diff_job.h"

enum { BLOCK = 256 };

static double f32_at(const unsigned char *p)
{
    return (double)float_from_bits(le32_load(p));
}

static double f64_at(const unsigned char *p)
{
    const uint64_t bits = le64_load(p);
    double v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* One loop for each dtype, so that the choice is not made for each element. */
#define WIDEN_ALL(value)                                                                           \
    for (size_t i = 0; i < count; i++) {                                                           \
        const unsigned char *const p = from + i * each;                                            \
        to[i] = (double)(value);                                                                   \
    }                                                                                              \
    return true

/* Elements as float64; false if elements of this dtype are not compared as numbers. */
static bool widen(dtype type, const unsigned char *from, size_t count, double *to)
{
    const size_t each = dtype_bits(type) / 8;
    switch (type) {
    case DTYPE_BF16:
        WIDEN_ALL(bf16_widen(le16_load(p)));
    case DTYPE_F16:
        WIDEN_ALL(f16_widen(le16_load(p)));
    case DTYPE_F32:
        WIDEN_ALL(f32_at(p));
    case DTYPE_F64:
        WIDEN_ALL(f64_at(p));
    case DTYPE_F8_E4M3:
        WIDEN_ALL(e4m3_decode(*p));
    case DTYPE_I8:
        WIDEN_ALL((int8_t)*p);
    case DTYPE_I16:
        WIDEN_ALL((int16_t)le16_load(p));
    case DTYPE_I32:
        WIDEN_ALL((int32_t)le32_load(p));
    case DTYPE_I64:
        WIDEN_ALL((int64_t)le64_load(p));
    case DTYPE_U8:
        WIDEN_ALL(*p);
    case DTYPE_U16:
        WIDEN_ALL(le16_load(p));
    case DTYPE_U32:
        WIDEN_ALL(le32_load(p));
    case DTYPE_U64:
        WIDEN_ALL(le64_load(p));
    default:
        return false;
    }
}

/* Bits decide whether an element differs, values by how much: zeros of different sign differ by 0,
 * and a NaN has no distance to anything (fmax ignores it). */
static void compare_batch(dtype type, const unsigned char *a, const unsigned char *b, size_t count,
                          uint64_t index, diff_finding *out)
{
    const size_t each = num_max(1, dtype_bits(type) / 8);
    double x[BLOCK];
    double y[BLOCK];
    const bool numbers = widen(type, a, count, x) && widen(type, b, count, y);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(a + i * each, b + i * each, each) != 0) {
            out->first = out->different ? out->first : index + i;
            out->different++;
            out->largest = numbers ? fmax(out->largest, fabs(x[i] - y[i])) : out->largest;
        }
    }
}

err_code diff_elements(dtype type, const unsigned char *a, const unsigned char *b, uint64_t count,
                       uint64_t index, const monitor *m, diff_finding *out, err *e)
{
    const size_t each = num_max(1, dtype_bits(type) / 8);
    for (uint64_t i = 0; i < count; i += BLOCK) {
        TRY(monitor_step(m, i / BLOCK, e));
        const size_t n = num_min(BLOCK, count - i);
        if (memcmp(a + i * each, b + i * each, n * each) != 0) {
            compare_batch(type, a + i * each, b + i * each, n, index + i, out);
        }
    }
    return OK;
}
