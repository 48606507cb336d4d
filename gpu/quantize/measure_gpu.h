/* Measures how fast a CUDA device and its link are, and how close the kernel comes to that: for
 * `octavo bench`.
 *
 *     link_speed link;
 *     measure_link(0, budget, &link, e);
 *
 * Seconds are medians of several runs, by the device's own clock. Each function allocates the
 * memory that it needs, at most `budget` bytes of it on the device, and frees it. Errors: ERR_GPU,
 * ERR_MEMORY. */
#ifndef MEASURE_GPU_H
#define MEASURE_GPU_H

#include <stddef.h>
#include <stdint.h>

#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/tensor/block.h"

/* Bytes per second between pinned host memory and the device: in each direction alone, and in both
 * at once with two bytes in for each byte out, as in a conversion of BF16. */
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
    uint64_t bytes;        /* moved by the kernel: source, codes, scales and statistics */
    double seconds;        /* of the kernel */
    double copy_seconds;   /* of a device-to-device copy that reads and writes as many bytes */
    double copy_bandwidth; /* bytes read and written per second by that copy */
} kernel_speed;

/* Weights are random. Kernel and copy take turns, and each goes through all the memory of its case,
 * so that caches do not help. If it does not fit the device or the budget, *out is all zero. */
MUST_CHECK err_code measure_kernel(unsigned device, uint64_t budget, const kernel_case *c,
                                   kernel_speed *out, err *e);

#endif
