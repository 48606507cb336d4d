/* Results of CUDA calls as errors of octavo.
 *
 *     TRY(cuda_check(cudaSetDevice(1), 1, "use it", e));
 *
 * A function that makes several calls whose failures get one message returns the first cudaError_t
 * that is not cudaSuccess, by CUDA_TRY; its caller passes that to cuda_check. */
#ifndef CUDA_CALL_H
#define CUDA_CALL_H

#include <cuda_runtime_api.h>

#include "format/base/err.h"

/* TRY (format/base/err.h) for calls and functions that return a cudaError_t. */
#define CUDA_TRY(call)                                                                             \
    do {                                                                                           \
        const cudaError_t try_result = (call);                                                     \
        if (try_result != cudaSuccess) {                                                           \
            return try_result;                                                                     \
        }                                                                                          \
    } while (0)

/* OK, or ERR_GPU: "GPU 1: cannot WHAT: out of memory". */
MUST_CHECK err_code cuda_check(cudaError_t result, unsigned device, const char *what, err *e);

#endif
