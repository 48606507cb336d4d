#include "gpu/quantize/kernels.h"

#include <stdbool.h>
#include <stddef.h>

#include "format/tensor/dialect_id.h"

/* In gpu/quantize/kernels.S: quantize.cu as compiled by nvcc. */
extern const unsigned char kernels_image[];

static err_code find(const kernels *k, cudaKernel_t *out, const char *name, err *e)
{
    const cudaError_t result = cudaLibraryGetKernel(out, k->library, name);
    return result == cudaSuccess ? OK
                                 : err_set(e, ERR_GPU, "no kernel %s for this device: %s", name,
                                           cudaGetErrorString(result));
}

err_code kernels_load(kernels *k, err *e)
{
    *k = (kernels){0};
    const cudaError_t result =
        cudaLibraryLoadData(&k->library, kernels_image, NULL, NULL, 0, NULL, NULL, 0);
    if (result != cudaSuccess) {
        k->library = NULL;
        return err_set(e, ERR_GPU, "cannot load the kernels: %s", cudaGetErrorString(result));
    }
    const struct {
        const char *name;
        cudaKernel_t *to;
    } all[] = {
        {"quantize_bf16", &k->quantize_bf16}, {"quantize_f16", &k->quantize_f16},
        {"quantize_f32", &k->quantize_f32},   {"dialect_bf16", &k->dialect_bf16},
        {"dialect_f16", &k->dialect_f16},     {"dialect_f32", &k->dialect_f32},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        TRY(find(k, all[i].to, all[i].name, e));
    }
    return OK;
}

void kernels_unload(kernels *k)
{
    if (k->library) {
        (void)cudaLibraryUnload(k->library); /* fails if a device was lost */
    }
    *k = (kernels){0};
}

cudaError_t kernels_quantize(const kernels *k, dtype source, const gpu_launch *launch,
                             cudaStream_t stream)
{
    const bool ieee = launch->dialect <= DIALECT_IEEE;
    cudaKernel_t kernel = source == DTYPE_BF16  ? (ieee ? k->quantize_bf16 : k->dialect_bf16)
                          : source == DTYPE_F16 ? (ieee ? k->quantize_f16 : k->dialect_f16)
                          : ieee                ? k->quantize_f32
                                                : k->dialect_f32;
    gpu_launch argument = *launch;
    void *arguments[] = {&argument};
    return cudaLaunchKernel((const void *)kernel, (dim3){launch->end - launch->first, 1, 1},
                            (dim3){QUANTIZE_THREADS, 1, 1}, arguments, 0, stream);
}
