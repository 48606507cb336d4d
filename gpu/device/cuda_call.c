#include "gpu/device/cuda_call.h"

err_code cuda_check(cudaError_t result, unsigned device, const char *what, err *e)
{
    if (result == cudaSuccess) {
        return OK;
    }
    (void)cudaGetLastError(); /* or the runtime would report a transient error a second time */
    return err_set(e, ERR_GPU, "GPU %u: cannot %s: %s", device, what, cudaGetErrorString(result));
}
