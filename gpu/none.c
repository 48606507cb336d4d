/* Stands in for all of gpu/ in a build without CUDA: every request fails with the same error. */
#include "gpu/device/device.h"
#include "gpu/quantize/engine_cuda.h"
#include "gpu/quantize/measure_gpu.h"

static err_code not_built_in(err *e)
{
    err_set(e, ERR_GPU, "CUDA is not built in");
    err_hint(e, "--device cpu gives the same bytes; for CUDA, build where nvcc is installed");
    return ERR_GPU;
}

const char *device_runtime(void)
{
    return NULL;
}

err_code device_find_all(device_list *out, err *e)
{
    *out = (device_list){0};
    return not_built_in(e);
}

err_code engine_cuda_open(const engine_cuda_options *o, engine **out, unsigned *failed, err *e)
{
    *out = NULL;
    if (failed) {
        *failed = o->device_count;
    }
    return not_built_in(e);
}

err_code measure_link(unsigned device, uint64_t budget, link_speed *out, err *e)
{
    (void)device, (void)budget;
    *out = (link_speed){0};
    return not_built_in(e);
}

err_code measure_kernel(unsigned device, uint64_t budget, const kernel_case *c, kernel_speed *out,
                        err *e)
{
    (void)device, (void)budget, (void)c;
    *out = (kernel_speed){0};
    return not_built_in(e);
}
