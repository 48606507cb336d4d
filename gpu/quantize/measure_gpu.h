/* What a CUDA device and its link can do, and how close the kernel comes: for `octavo bench`.
 *
 * Seconds are medians of several runs, by the device's own clock. Each function takes the memory
 * that it needs, of the device no more than `budget` bytes, and gives it back. Errors: ERR_GPU,
 * ERR_MEMORY. */
#ifndef MEASURE_GPU_H
#define MEASURE_GPU_H

#include <stddef.h>
#include <stdint.h>

#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/tensor/block.h"

/* Bytes a second between pinned host memory and the device, one way at a time, and both at once
 * with two bytes in for each byte out, as a conversion of BF16 does. */
typedef struct link_speed {
    double in, out;
    double both_in, both_out;
} link_speed;

MUST_CHECK err_code measure_link(unsigned device, uint64_t budget, link_speed *out, err *e);

/* `count` matrices of rows x cols, all in one launch. */
typedef struct kernel_case {
    uint64_t rows, cols, count;
    dtype source;
    scale_format scales;
} kernel_case;

typedef struct kernel_speed {
    uint64_t bytes;        /* that have to be moved: source, codes, scales and statistics */
    double seconds;        /* of the kernel */
    double copy_seconds;   /* of a device-to-device copy that reads and writes as many bytes */
    double copy_bandwidth; /* bytes read and written a second by that copy */
} kernel_speed;

/* Weights are random; kernel and copy run in turn, and each rotates through the whole memory of its
 * case, so that no cache helps. All zeros: the device has no room for it, or the budget is
 * less than it needs. */
MUST_CHECK err_code measure_kernel(unsigned device, uint64_t budget, const kernel_case *c,
                                   kernel_speed *out, err *e);

#endif
