/* A model of the CUDA runtime: the functions that the engine calls, for two devices that the CPU
 * emulates. A test that includes this is linked without the real functions and needs no GPU.
 *
 *     model_begin();                    two devices with much memory
 *     model_devices[1].left = 0;        now one of them is full, or
 *     model_devices[1].streams_left = 1 nearly full, or
 *     model_devices[1].busy = true;     used exclusively by another program
 *     model_devices[1].fails_after = 9; or will be lost, after nine copies and launches
 *     model_meet = true;                and neither computes before both have work
 *     ... open an engine, use it, close it ...
 *     model_devices[0].launches         what the devices did
 *     model_expect_empty();             everything was released
 *
 * As with real devices, a thread has a current device, to which the streams, events and memory that
 * it creates belong; a kernel is refused in a stream of another device, and so is recording an
 * event there; and a lost device stays lost and does not affect the other one. Work is done when
 * somebody waits for it. Stricter than real devices: device memory can only be accessed through
 * streams of its device, and host memory must be registered. Breaking these rules gives an error as
 * CUDA's would, which the engine reports. */
#ifndef CUDA_MODEL_H
#define CUDA_MODEL_H

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "format/base/cpu_level.h"
#include "gpu/quantize/quantize.h"
#include "quant/engine/tile_kernel.h"
#include "tests/aid/expect.h"

enum { MODEL_DEVICES = 2, MODEL_STRETCHES = 64, MODEL_QUEUE = 64, MODEL_HOST = -1 };

typedef struct model_device {
    bool busy;        /* another program uses it exclusively */
    size_t left;      /* bytes that can be allocated */
    int streams_left; /* streams that can be created; negative: any number */
    atomic_uint launches, begun;
    atomic_int fails_after; /* copies and launches until it is lost, 0: it is; negative: never */
} model_device;

/* An allocation on a device, or registered host memory. */
typedef struct model_stretch {
    unsigned char *at;
    size_t bytes;
    int device;
} model_stretch;

static model_device model_devices[MODEL_DEVICES];
static model_stretch model_stretches[MODEL_STRETCHES];
static pthread_mutex_t model_lock = PTHREAD_MUTEX_INITIALIZER; /* of stretches */
static atomic_int model_objects;                               /* streams, events, libraries */
static _Thread_local int model_current;
static atomic_bool model_meet;

struct CUkern_st {
    const char *name;
    dtype source;
    bool dialects;
};

static struct CUkern_st model_kernels[] = {
    {"quantize_bf16", DTYPE_BF16, false}, {"quantize_f16", DTYPE_F16, false},
    {"quantize_f32", DTYPE_F32, false},   {"dialect_bf16", DTYPE_BF16, true},
    {"dialect_f16", DTYPE_F16, true},     {"dialect_f32", DTYPE_F32, true},
};

struct CUlib_st {
    char nothing;
};

/* A copy; or a launch, if `kernel` is not NULL. */
typedef struct model_work {
    void *to;
    const void *from;
    size_t bytes;
    const struct CUkern_st *kernel;
    gpu_launch launch;
} model_work;

struct CUstream_st {
    int device;
    unsigned count;
    model_work queue[MODEL_QUEUE];
};

struct CUevent_st {
    int device;
    cudaStream_t recorded;
};

static inline void model_begin(void)
{
    model_meet = false;
    for (int d = 0; d < MODEL_DEVICES; d++) {
        model_devices[d].busy = false;
        model_devices[d].left = (size_t)1 << 30;
        model_devices[d].streams_left = -1;
        model_devices[d].launches = model_devices[d].begun = 0;
        model_devices[d].fails_after = -1;
    }
}

/* ---- memory ---------------------------------------------------- */

static inline bool model_add(void *at, size_t bytes, int device)
{
    bool found = false;
    pthread_mutex_lock(&model_lock);
    for (int i = 0; i < MODEL_STRETCHES && !found; i++) {
        found = !model_stretches[i].at;
        if (found) {
            model_stretches[i] = (model_stretch){at, bytes, device};
        }
    }
    pthread_mutex_unlock(&model_lock);
    return found;
}

/* Forget the allocation that begins at `at`; returns its bytes, 0: there is none. */
static inline size_t model_remove(const void *at, int *device)
{
    size_t bytes = 0;
    pthread_mutex_lock(&model_lock);
    for (int i = 0; i < MODEL_STRETCHES; i++) {
        model_stretch *const s = &model_stretches[i];
        if (s->at && s->at == at) {
            bytes = s->bytes;
            *device = s->device;
            *s = (model_stretch){0};
        }
    }
    pthread_mutex_unlock(&model_lock);
    return bytes;
}

static inline bool model_is_in(const void *at, size_t bytes, int device)
{
    bool found = false;
    const uintptr_t first = (uintptr_t)at;
    pthread_mutex_lock(&model_lock);
    for (int i = 0; i < MODEL_STRETCHES; i++) {
        const model_stretch *const s = &model_stretches[i];
        const uintptr_t begin = (uintptr_t)s->at;
        found = found || (s->at && s->device == device && first >= begin &&
                          first + bytes <= begin + s->bytes);
    }
    pthread_mutex_unlock(&model_lock);
    return found;
}

static inline void model_expect_empty(void)
{
    ck_assert_int_eq(model_objects, 0);
    for (int i = 0; i < MODEL_STRETCHES; i++) {
        ck_assert_ptr_null(model_stretches[i].at);
    }
}

cudaError_t cudaMalloc(void **to, size_t bytes)
{
    model_device *const d = &model_devices[model_current];
    if (bytes > d->left) {
        return cudaErrorMemoryAllocation;
    }
    *to = malloc(bytes);
    if (!*to || !model_add(*to, bytes, model_current)) {
        return cudaErrorUnknown;
    }
    d->left -= bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *at)
{
    int device = 0;
    const size_t bytes = model_remove(at, &device);
    if (bytes == 0) {
        return cudaErrorInvalidValue;
    }
    model_devices[device].left += bytes;
    free(at);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    *left = *all = model_devices[model_current].left;
    return cudaSuccess;
}

cudaError_t cudaHostRegister(void *at, size_t bytes, unsigned flags)
{
    return flags == cudaHostRegisterPortable && model_add(at, bytes, MODEL_HOST)
               ? cudaSuccess
               : cudaErrorInvalidValue;
}

cudaError_t cudaHostUnregister(void *at)
{
    int device = 0;
    return model_remove(at, &device) ? cudaSuccess : cudaErrorHostMemoryNotRegistered;
}

/* ---- work ------------------------------------------------------ */

/* Quantize one tile by the CPU's kernel, from a copy of the tile without gaps between rows. */
static inline void model_quantize(const model_work *w, const gpu_tile *t, uint32_t number)
{
    cpu_level level;
    ck_assert_int_eq(cpu_level_choose(&level, NULL), OK);
    const gpu_launch *const l = &w->launch;
    const size_t element = dtype_bits(w->kernel->source) / 8;
    static _Thread_local tile_scratch scratch;
    static _Thread_local unsigned char in[TILE * TILE * sizeof(float)], out[TILE * TILE];
    for (size_t r = 0; r < t->rows; r++) {
        memcpy(in + r * t->cols * element, l->in + t->in_off + r * t->pitch * element,
               t->cols * element);
    }
    const engine_job job = {.source = w->kernel->source,
                            .block = block_fp8((scale_format)l->scale),
                            .dialect = (pack_dialect)l->dialect,
                            .rows = t->rows,
                            .cols = t->cols,
                            .tile_scales = &l->scales[number],
                            .stats = &l->stats[number]};
    tile_kernel_at(level)->quantize(&job, in, out, 0, 1, &scratch);
    for (size_t r = 0; r < t->rows; r++) {
        memcpy(l->out + t->out_off + r * t->pitch, out + r * t->cols, t->cols);
    }
}

/* Wait until each device has had work; for ten seconds at most, and only once. */
static inline void model_wait_for_all(void)
{
    for (int d = 0, ms = 0; d < MODEL_DEVICES && model_meet; ms++) {
        if (model_devices[d].begun > 0) {
            d++;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        if (ms == 10000) {
            model_meet = false;
        }
    }
}

/* Count one piece of work; false: the device is lost. Several threads count, never below 0. */
static inline bool model_may_work(model_device *d)
{
    int left = d->fails_after;
    while (left > 0 && !atomic_compare_exchange_weak(&d->fails_after, &left, left - 1)) {
    }
    return left != 0;
}

/* Do the queued work. */
static inline cudaError_t model_run(cudaStream_t s)
{
    model_device *const d = &model_devices[s->device];
    d->begun++;
    if (model_meet) {
        model_wait_for_all();
    }
    for (unsigned i = 0; i < s->count; i++) {
        const model_work *const w = &s->queue[i];
        if (!model_may_work(d)) {
            return cudaErrorLaunchFailure;
        }
        if (!w->kernel) {
            memcpy(w->to, w->from, w->bytes);
            continue;
        }
        d->launches++;
        for (uint32_t t = w->launch.first; t < w->launch.end; t++) {
            model_quantize(w, &w->launch.tiles[t], t);
        }
    }
    s->count = 0;
    return cudaSuccess;
}

static inline cudaError_t model_queue(cudaStream_t s, const model_work *w)
{
    if (model_devices[s->device].fails_after == 0) {
        return cudaErrorLaunchFailure;
    }
    if (s->count == MODEL_QUEUE) {
        return cudaErrorUnknown;
    }
    s->queue[s->count++] = *w;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t s)
{
    const bool in = kind == cudaMemcpyHostToDevice;
    if ((!in && kind != cudaMemcpyDeviceToHost) ||
        !model_is_in(to, bytes, in ? s->device : MODEL_HOST) ||
        !model_is_in(from, bytes, in ? MODEL_HOST : s->device)) {
        return cudaErrorInvalidValue;
    }
    return model_queue(s, &(model_work){.to = to, .from = from, .bytes = bytes});
}

cudaError_t cudaLaunchKernel(const void *kernel, dim3 blocks, dim3 threads, void **arguments,
                             size_t shared, cudaStream_t s)
{
    model_work w = {.kernel = kernel};
    memcpy(&w.launch, arguments[0], sizeof w.launch);
    const gpu_launch *const l = &w.launch;
    if (s->device != model_current) {
        return cudaErrorInvalidResourceHandle;
    }
    if (blocks.x != l->end - l->first || threads.x != QUANTIZE_THREADS || shared != 0 ||
        w.kernel->dialects != (l->dialect > DIALECT_IEEE) ||
        !model_is_in(l->tiles, l->end * sizeof *l->tiles, s->device) ||
        !model_is_in(l->scales, l->end * sizeof *l->scales, s->device) ||
        !model_is_in(l->stats, l->end * sizeof *l->stats, s->device) ||
        !model_is_in(l->in, 1, s->device) || !model_is_in(l->out, 1, s->device)) {
        return cudaErrorIllegalAddress;
    }
    return model_queue(s, &w);
}

/* ---- streams and events ---------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *to, unsigned flags)
{
    model_device *const d = &model_devices[model_current];
    if (d->streams_left == 0) {
        return cudaErrorMemoryAllocation;
    }
    *to = calloc(1, sizeof **to);
    if (!*to || flags != cudaStreamNonBlocking) {
        return cudaErrorInvalidValue;
    }
    (*to)->device = model_current;
    d->streams_left--;
    model_objects++;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    return model_run(s);
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    const cudaError_t result = model_run(s);
    free(s);
    model_objects--;
    return result;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *to, unsigned flags)
{
    *to = calloc(1, sizeof **to);
    if (!*to || !(flags & cudaEventDisableTiming)) {
        return cudaErrorInvalidValue;
    }
    (*to)->device = model_current;
    model_objects++;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t s)
{
    if (event->device != s->device) {
        return cudaErrorInvalidResourceHandle;
    }
    event->recorded = s;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return model_run(event->recorded);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    free(event);
    model_objects--;
    return cudaSuccess;
}

/* ---- devices and kernels --------------------------------------- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = MODEL_DEVICES;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "model %d", device);
    p->major = 9;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *to, int bytes, int device)
{
    snprintf(to, (size_t)bytes, "%d", device);
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    if (device < 0 || device >= MODEL_DEVICES) {
        return cudaErrorInvalidDevice;
    }
    if (model_devices[device].busy) {
        return cudaErrorDevicesUnavailable;
    }
    model_current = device;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaLibraryLoadData(cudaLibrary_t *to, const void *image, enum cudaJitOption *a,
                                void **b, unsigned c, enum cudaLibraryOption *f, void **g,
                                unsigned h)
{
    static struct CUlib_st library;
    (void)image, (void)a, (void)b, (void)c, (void)f, (void)g, (void)h;
    *to = &library;
    model_objects++;
    return cudaSuccess;
}

cudaError_t cudaLibraryGetKernel(cudaKernel_t *to, cudaLibrary_t library, const char *name)
{
    (void)library;
    for (int i = 0; i < COUNT(model_kernels); i++) {
        if (strcmp(model_kernels[i].name, name) == 0) {
            *to = &model_kernels[i];
            return cudaSuccess;
        }
    }
    return cudaErrorSymbolNotFound;
}

cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
    (void)library;
    model_objects--;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t result)
{
    static _Thread_local char text[32];
    snprintf(text, sizeof text, "error %d", (int)result);
    return text;
}

#endif
