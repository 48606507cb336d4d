/* The kernels, which this program holds for every device that it knows (gpu/quantize/kernels.S).
 *
 *     kernels k;
 *     kernels_load(&k, e);
 *     kernels_quantize(&k, DTYPE_BF16, &launch, stream);      on the current device
 *     kernels_unload(&k);
 *
 * Loading needs no device: each device gets its code at its first launch. Several threads may
 * launch at the same time. */
#ifndef KERNELS_H
#define KERNELS_H

#include <cuda_runtime_api.h>

#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "gpu/quantize/quantize.h"

typedef struct kernels {
    cudaLibrary_t library;
    cudaKernel_t quantize_bf16, quantize_f16, quantize_f32; /* ieee */
    cudaKernel_t dialect_bf16, dialect_f16, dialect_f32;    /* all other dialects */
} kernels;

/* ERR_GPU if the driver cannot load them; unload in every case. */
MUST_CHECK err_code kernels_load(kernels *k, err *e);
void kernels_unload(kernels *k); /* all zero is fine */

/* Queue the quantization of the tiles of a launch, at least one, all of this source dtype (BF16,
 * F16 or F32), in the dialect of the launch. */
cudaError_t kernels_quantize(const kernels *k, dtype source, const gpu_launch *launch,
                             cudaStream_t stream);

#endif
