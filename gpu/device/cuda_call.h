/* The result of a CUDA call as an error of ours. */
#ifndef CUDA_CALL_H
#define CUDA_CALL_H

#include <cuda_runtime_api.h>

#include "format/base/err.h"

/* OK, or ERR_GPU: "GPU 1: cannot WHAT: out of memory". */
MUST_CHECK err_code cuda_check(cudaError_t result, unsigned device, const char *what, err *e);

#endif
