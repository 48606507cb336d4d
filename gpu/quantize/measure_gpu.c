/* Times are taken by events on the device itself, after a warm-up run that is not counted. Runs
 * that are compared take turns, so that a drifting clock affects both equally. */
#include "gpu/quantize/measure_gpu.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "gpu/quantize/batch.h"
#include "gpu/device/cuda_call.h"
#include "gpu/quantize/kernels.h"
#include "format/tensor/float_bits.h"

enum { RUNS = 11 };

static int compare_seconds(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double seconds[RUNS])
{
    qsort(seconds, RUNS, sizeof *seconds, compare_seconds);
    return seconds[RUNS / 2];
}

/* ---- a stopwatch ----------------------------------------------- */

typedef struct stopwatch {
    unsigned device;
    cudaStream_t stream;
    cudaEvent_t start, stop;
} stopwatch;

static err_code stopwatch_open(stopwatch *w, unsigned number, err *e)
{
    *w = (stopwatch){.device = number};
    TRY(cuda_check(cudaSetDevice((int)number), number, "use it", e));
    TRY(cuda_check(cudaStreamCreateWithFlags(&w->stream, cudaStreamNonBlocking), number,
                   "create a stream", e));
    TRY(cuda_check(cudaEventCreate(&w->start), number, "create an event", e));
    return cuda_check(cudaEventCreate(&w->stop), number, "create an event", e);
}

static void stopwatch_close(stopwatch *w)
{
    if (w->start) {
        (void)cudaEventDestroy(w->start);
    }
    if (w->stop) {
        (void)cudaEventDestroy(w->stop);
    }
    if (w->stream) {
        (void)cudaStreamDestroy(w->stream);
    }
}

/* Queues work on a stream. */
typedef cudaError_t (*timed_fn)(void *ctx, cudaStream_t stream);

static cudaError_t run_timed(const stopwatch *w, timed_fn fn, void *ctx, float *milliseconds)
{
    CUDA_TRY(cudaEventRecord(w->start, w->stream));
    CUDA_TRY(fn(ctx, w->stream));
    CUDA_TRY(cudaEventRecord(w->stop, w->stream));
    CUDA_TRY(cudaEventSynchronize(w->stop));
    return cudaEventElapsedTime(milliseconds, w->start, w->stop);
}

static err_code stopwatch_time(const stopwatch *w, timed_fn fn, void *ctx, double *seconds, err *e)
{
    float milliseconds = 0;
    TRY(cuda_check(run_timed(w, fn, ctx, &milliseconds), w->device, "measure", e));
    *seconds = (double)milliseconds / 1000;
    return OK;
}

/* ---- the link -------------------------------------------------- */

#define LINK_BYTES ((size_t)256 * MIB)

typedef struct link_test {
    size_t bytes; /* of each of the four buffers */
    unsigned char *host_in, *host_out, *in, *out;
    cudaStream_t other; /* for copies to the host */
    cudaEvent_t started, finished;
    bool to, from;
} link_test;

/* Both directions: the copies start together, half as many bytes come back as go in, and the run is
 * over when both copies are. */
static cudaError_t run_link(void *ctx, cudaStream_t stream)
{
    const link_test *const t = ctx;
    const size_t back = t->to ? t->bytes / 2 : t->bytes;
    CUDA_TRY(cudaEventRecord(t->started, stream));
    CUDA_TRY(cudaStreamWaitEvent(t->other, t->started, 0));
    if (t->from) {
        CUDA_TRY(cudaMemcpyAsync(t->host_out, t->out, back, cudaMemcpyDeviceToHost, t->other));
    }
    if (t->to) {
        CUDA_TRY(cudaMemcpyAsync(t->in, t->host_in, t->bytes, cudaMemcpyHostToDevice, stream));
    }
    CUDA_TRY(cudaEventRecord(t->finished, t->other));
    return cudaStreamWaitEvent(stream, t->finished, 0);
}

static cudaError_t open_link(link_test *t, uint64_t budget)
{
    size_t left = 0, all = 0;
    CUDA_TRY(cudaMemGetInfo(&left, &all));
    t->bytes = num_min(LINK_BYTES, num_min(left / 4, budget / 2)); /* the device has two buffers */
    t->bytes = num_max(t->bytes, MIB);
    CUDA_TRY(cudaMalloc((void **)&t->in, t->bytes));
    CUDA_TRY(cudaMalloc((void **)&t->out, t->bytes));
    CUDA_TRY(cudaHostAlloc((void **)&t->host_in, t->bytes, cudaHostAllocDefault));
    CUDA_TRY(cudaHostAlloc((void **)&t->host_out, t->bytes, cudaHostAllocDefault));
    CUDA_TRY(cudaStreamCreateWithFlags(&t->other, cudaStreamNonBlocking));
    CUDA_TRY(cudaEventCreateWithFlags(&t->started, cudaEventDisableTiming));
    return cudaEventCreateWithFlags(&t->finished, cudaEventDisableTiming);
}

static void close_link(link_test *t)
{
    (void)cudaFree(t->in);
    (void)cudaFree(t->out);
    (void)cudaFreeHost(t->host_in);
    (void)cudaFreeHost(t->host_out);
    if (t->other) {
        (void)cudaStreamDestroy(t->other);
    }
    if (t->started) {
        (void)cudaEventDestroy(t->started);
    }
    if (t->finished) {
        (void)cudaEventDestroy(t->finished);
    }
}

static err_code time_link(const stopwatch *w, link_test *t, bool to, bool from, double *seconds,
                          err *e)
{
    double times[RUNS] = {0};
    double first = 0;
    t->to = to;
    t->from = from;
    TRY(stopwatch_time(w, run_link, t, &first, e));
    for (int i = 0; i < RUNS; i++) {
        TRY(stopwatch_time(w, run_link, t, &times[i], e));
    }
    *seconds = median(times);
    return OK;
}

err_code measure_link(unsigned device, uint64_t budget, link_speed *out, err *e)
{
    stopwatch w;
    link_test t = {0};
    double in = 0, back = 0, both = 0;
    err_code code = OK;
    *out = (link_speed){0};
    TRY_OUT(stopwatch_open(&w, device, e));
    TRY_OUT(cuda_check(open_link(&t, budget), device, "measure its link", e));
    TRY_OUT(time_link(&w, &t, true, false, &in, e));
    TRY_OUT(time_link(&w, &t, false, true, &back, e));
    TRY_OUT(time_link(&w, &t, true, true, &both, e));
    *out = (link_speed){.in = (double)t.bytes / in,
                        .out = (double)t.bytes / back,
                        .both_in = (double)t.bytes / both,
                        .both_out = (double)t.bytes / 2 / both};
out:
    close_link(&t);
    stopwatch_close(&w);
    return code;
}

/* ---- the kernel ------------------------------------------------ */

typedef struct kernel_test {
    const kernel_case *what;
    kernels kernels;
    gpu_launch launch;
    uint32_t tiles;
    size_t in_bytes, out_bytes, tables, results;
    unsigned char *in, *out; /* after the tables and after the results */
    unsigned char *copy;     /* the target of the copy */
    size_t copy_bytes;
} kernel_test;

static cudaError_t run_kernel(void *ctx, cudaStream_t stream)
{
    const kernel_test *const t = ctx;
    return kernels_quantize(&t->kernels, t->what->source, &t->launch, stream);
}

static cudaError_t run_copy(void *ctx, cudaStream_t stream)
{
    const kernel_test *const t = ctx;
    return cudaMemcpyAsync(t->copy, t->in, t->copy_bytes, cudaMemcpyDeviceToDevice, stream);
}

/* Write a weight: roughly Gaussian, standard deviation 0.02; in F16 never subnormal. */
static void put_weight(unsigned char *to, dtype type, uint64_t random)
{
    float sum = -131070 + 0.5F;
    for (int k = 0; k < 64; k += 16) {
        sum += (float)(random >> k & 0xffff);
    }
    const float weight = sum * (0.02F / 37837);
    const uint32_t bits = float_bits(weight);
    if (type == DTYPE_F32) {
        memcpy(to, &bits, sizeof bits);
    } else {
        const uint32_t normal = (uint32_t)num_max(bits & 0x7fffffff, 113U << 23);
        const uint32_t half = (bits >> 16 & 0x8000) | (normal - (112U << 23)) >> 13;
        const uint16_t narrow = (uint16_t)(type == DTYPE_BF16 ? bits >> 16 : half);
        memcpy(to, &narrow, sizeof narrow);
    }
}

/* Fill the input with copies of a pool of random weights. The pool is slightly shorter than a power
 * of two, so that its copies do not line up with rows of tiles. */
static err_code fill_input(const kernel_test *t, unsigned number, err *e)
{
    const size_t element = dtype_bits(t->what->source) / 8;
    const size_t pool_bytes = num_min(t->in_bytes, (size_t)16 * MIB - 64);
    unsigned char *const pool = malloc(pool_bytes);
    err_code code = OK;
    if (!pool) {
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes", pool_bytes);
    }
    uint64_t random = 0x9e3779b97f4a7c15U;
    for (size_t i = 0; i < pool_bytes; i += element) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        put_weight(pool + i, t->what->source, random ^ random >> 29);
    }
    for (size_t off = 0; off < t->in_bytes; off += pool_bytes) {
        TRY_OUT(cuda_check(cudaMemcpy(t->in + off, pool, num_min(pool_bytes, t->in_bytes - off),
                                      cudaMemcpyHostToDevice),
                           number, "fill its memory", e));
    }
out:
    free(pool);
    return code;
}

/* Make the tables of all matrices on the host, and copy them to the device. */
static err_code fill_tables(kernel_test *t, unsigned number, err *e)
{
    const kernel_case *const c = t->what;
    const size_t element = dtype_bits(c->source) / 8;
    engine_job *const jobs = calloc(c->count, sizeof *jobs);
    unsigned char *const tables = malloc(t->tables);
    err_code code = OK;
    if (!jobs || !tables) {
        TRY_OUT(err_set(e, ERR_MEMORY, "no memory for the tables"));
    }
    for (uint64_t i = 0; i < c->count; i++) {
        jobs[i] = (engine_job){.source = c->source,
                               .block = block_fp8(c->scales),
                               .rows = c->rows,
                               .cols = c->cols,
                               .in_off = i * c->rows * c->cols * element,
                               .out_off = i * c->rows * c->cols};
    }
    const gpu_batch b = gpu_batch_of(jobs, c->count);
    gpu_batch_write_table(&b, tables + t->tables);
    t->launch = gpu_batch_launch(&b, t->in, t->out);
    t->launch.scale = c->scales;
    code = cuda_check(cudaMemcpy(t->in - t->tables, tables, t->tables, cudaMemcpyHostToDevice),
                      number, "copy to it", e);
out:
    free(tables);
    free(jobs);
    return code;
}

static cudaError_t allocate(kernel_test *t)
{
    CUDA_TRY(cudaMalloc((void **)&t->in, t->tables + t->in_bytes));
    t->in += t->tables;
    CUDA_TRY(cudaMalloc((void **)&t->out, t->results + t->out_bytes));
    t->out += t->results;
    return cudaMalloc((void **)&t->copy, t->copy_bytes);
}

/* *fits: the device has enough memory. */
static err_code open_kernel(kernel_test *t, unsigned number, uint64_t budget, bool *fits, err *e)
{
    const kernel_case *const c = t->what;
    const uint64_t elements = c->rows * c->cols * c->count;
    t->tiles = (uint32_t)(block_count(block_fp8(c->scales), c->rows, c->cols) * c->count);
    t->in_bytes = elements * (dtype_bits(c->source) / 8);
    t->out_bytes = elements;
    t->tables = gpu_batch_table_bytes(t->tiles);
    t->results = gpu_batch_results_bytes(t->tiles);
    const size_t moved =
        t->in_bytes + t->out_bytes + t->tiles * (sizeof(float) + sizeof(tile_stats));
    t->copy_bytes = moved / 2;
    *fits = t->tables + t->in_bytes + t->results + t->out_bytes + t->copy_bytes <= budget;
    if (!*fits) {
        return OK;
    }
    const cudaError_t result = allocate(t);
    *fits = result != cudaErrorMemoryAllocation;
    if (!*fits) {
        (void)cudaGetLastError();
        return OK;
    }
    return cuda_check(result, number, "allocate memory", e);
}

static void close_kernel(kernel_test *t)
{
    (void)cudaFree(t->in ? t->in - t->tables : NULL);
    (void)cudaFree(t->out ? t->out - t->results : NULL);
    (void)cudaFree(t->copy);
    kernels_unload(&t->kernels);
}

static err_code time_kernel(const stopwatch *w, kernel_test *t, kernel_speed *out, err *e)
{
    double kernel[RUNS] = {0};
    double copy[RUNS] = {0};
    double first = 0;
    TRY(stopwatch_time(w, run_kernel, t, &first, e));
    TRY(stopwatch_time(w, run_copy, t, &first, e));
    for (int i = 0; i < RUNS; i++) {
        TRY(stopwatch_time(w, run_kernel, t, &kernel[i], e));
        TRY(stopwatch_time(w, run_copy, t, &copy[i], e));
    }
    *out = (kernel_speed){
        .bytes = 2 * t->copy_bytes, .seconds = median(kernel), .copy_seconds = median(copy)};
    out->copy_bandwidth = (double)out->bytes / out->copy_seconds;
    return OK;
}

err_code measure_kernel(unsigned device, uint64_t budget, const kernel_case *c, kernel_speed *out,
                        err *e)
{
    stopwatch w;
    kernel_test t = {.what = c};
    bool fits = false;
    err_code code = OK;
    *out = (kernel_speed){0};
    TRY_OUT(stopwatch_open(&w, device, e));
    TRY_OUT(kernels_load(&t.kernels, e));
    TRY_OUT(open_kernel(&t, device, budget, &fits, e));
    if (fits) {
        TRY_OUT(fill_input(&t, device, e));
        TRY_OUT(fill_tables(&t, device, e));
        code = time_kernel(&w, &t, out, e);
    }
out:
    close_kernel(&t);
    stopwatch_close(&w);
    return code;
}
