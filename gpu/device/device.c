#include "gpu/device/device.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

#include "gpu/device/cuda_call.h"

/* CUDART_VERSION is 13000 for 13.0. */
const char *device_runtime(void)
{
    static char text[16];
    snprintf(text, sizeof text, "%d.%d", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    return text;
}

/* Why there is no device, phrased for the person who has to fix it. */
static err_code no_devices(cudaError_t result, err *e)
{
    int driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
        return err_set(e, ERR_GPU, "no NVIDIA driver");
    }
    if (result == cudaErrorInsufficientDriver) {
        return err_set(e, ERR_GPU, "the NVIDIA driver is for CUDA %d.%d, %s is needed",
                       driver / 1000, driver % 1000 / 10, device_runtime());
    }
    if (result == cudaErrorNoDevice || result == cudaSuccess) {
        return err_set(e, ERR_GPU, "no CUDA device");
    }
    return err_set(e, ERR_GPU, "no CUDA device: %s", cudaGetErrorString(result));
}

static err_code describe(unsigned index, device_info *out, err *e)
{
    struct cudaDeviceProp p;
    TRY(cuda_check(cudaGetDeviceProperties(&p, (int)index), index, "query its properties", e));
    *out = (device_info){
        .index = index,
        .major = (unsigned)p.major,
        .minor = (unsigned)p.minor,
        .multiprocessors = (unsigned)p.multiProcessorCount,
        .memory_bytes = p.totalGlobalMem,
        .usable = p.major >= 8, /* the oldest that the kernels are compiled for */
    };
    snprintf(out->name, sizeof out->name, "%s", p.name);
    if (cudaDeviceGetPCIBusId(out->bus, sizeof out->bus, (int)index) != cudaSuccess) {
        out->bus[0] = '\0';
    }
    return OK;
}

err_code device_find_all(device_list *out, err *e)
{
    *out = (device_list){0};
    int count = 0;
    const cudaError_t result = cudaGetDeviceCount(&count);
    if (result != cudaSuccess || count <= 0) {
        (void)cudaGetLastError();
        return no_devices(result, e);
    }
    for (unsigned i = 0; i < (unsigned)count && i < DEVICE_MAX; i++) {
        TRY(describe(i, &out->devices[i], e));
        out->count = i + 1;
    }
    return OK;
}
