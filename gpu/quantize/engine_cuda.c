/* A slot is a stream. Its thread queues everything at once in submit: the copy of table and input
 * to the device, the kernels, the copy of results and codes back, and an event; in wait it sleeps
 * until the event. Since every slot has its own stream and memory, the copies of some slots overlap
 * the kernels of others without any lock here.
 *
 * Host memory is allocated here and only registered with CUDA: it stays readable when a device is
 * lost, so that another engine can take over the work. */
#include "gpu/quantize/engine_cuda.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "format/base/num.h"
#include "gpu/quantize/batch.h"
#include "gpu/device/cuda_call.h"
#include "gpu/device/device.h"
#include "gpu/quantize/kernels.h"

enum { PAGE_BYTES = 4096, HUGE_PAGE_BYTES = 2 << 20 };

/* Device memory that is left free for the code of the kernels, which is loaded at the first launch,
 * and for what the driver then allocates. */
#define CODE_RESERVE ((size_t)32 * MIB)

typedef struct cuda_slot {
    unsigned device;
    unsigned char *memory;   /* on the device */
    unsigned char *in, *out; /* within `memory` */
    cudaStream_t stream;
    cudaEvent_t done;
    gpu_batch work; /* what was submitted; job_count 0: nothing */
} cuda_slot;

/* Offsets of the parts in a slot's memory, the same on host and device. */
typedef struct slot_layout {
    size_t in, out, bytes;
    size_t device_bytes; /* `bytes`, rounded up: the driver allocates large pages */
} slot_layout;

typedef struct cuda_engine {
    engine base; /* base class, first: every engine * made here is a cuda_engine * */
    kernels kernels;
    cuda_slot *slots;
    size_t max_tiles;
    slot_layout layout;
    unsigned char *host; /* memory of all slots */
    size_t host_bytes;
    bool pinned;
} cuda_engine;

/* ---- work ------------------------------------------------------ */

/* What the caller guarantees about its jobs. */
static void check_batch(const cuda_engine *g, const gpu_batch *b)
{
    for (size_t i = 0; i < b->job_count; i++) {
        assert(b->jobs[i].block.rows == TILE && b->jobs[i].block.cols == TILE);
    }
    assert(b->tile_count <= g->max_tiles);
    assert(b->in_bytes <= g->base.in_bytes && b->out_bytes <= g->base.out_bytes);
    (void)g, (void)b; /* in builds without assertions */
}

static cudaError_t copy_in(const cuda_slot *s, const engine_slot *slot)
{
    const size_t tables = gpu_batch_table_bytes(s->work.tile_count);
    return cudaMemcpyAsync(s->in - tables, slot->in - tables, tables + s->work.in_bytes,
                           cudaMemcpyHostToDevice, s->stream);
}

static cudaError_t copy_out(const cuda_slot *s, const engine_slot *slot)
{
    const size_t results = gpu_batch_results_bytes(s->work.tile_count);
    return cudaMemcpyAsync(slot->out - results, s->out - results, results + s->work.out_bytes,
                           cudaMemcpyDeviceToHost, s->stream);
}

/* One launch for each run of consecutive jobs with the same source dtype, scale kind and dialect:
 * usually there is only one run. */
static cudaError_t launch_all(const cuda_engine *g, const cuda_slot *s)
{
    const gpu_batch *const b = &s->work;
    gpu_launch launch = gpu_batch_launch(b, s->in, s->out);
    launch.end = 0;
    for (size_t i = 0; i < b->job_count;) {
        const engine_job *const first = &b->jobs[i];
        for (; i < b->job_count && b->jobs[i].source == first->source &&
               b->jobs[i].block.scale == first->block.scale && b->jobs[i].dialect == first->dialect;
             i++) {
            launch.end += (uint32_t)engine_job_tiles(&b->jobs[i]);
        }
        launch.scale = first->block.scale;
        launch.dialect = first->dialect;
        CUDA_TRY(kernels_quantize(&g->kernels, first->source, &launch, s->stream));
        launch.first = launch.end;
    }
    return cudaSuccess;
}

static err_code queue(const cuda_engine *g, const cuda_slot *s, const engine_slot *slot, err *e)
{
    TRY(cuda_check(cudaSetDevice((int)s->device), s->device, "use it", e));
    TRY(cuda_check(copy_in(s, slot), s->device, "copy to it", e));
    TRY(cuda_check(launch_all(g, s), s->device, "quantize", e));
    TRY(cuda_check(copy_out(s, slot), s->device, "copy from it", e));
    return cuda_check(cudaEventRecord(s->done, s->stream), s->device, "record an event", e);
}

static err_code cuda_submit(engine *base, engine_slot *slot, const engine_job *jobs, size_t count,
                            err *e)
{
    const cuda_engine *const g = (const cuda_engine *)base;
    cuda_slot *const s = slot->priv;
    s->work = gpu_batch_of(jobs, count);
    if (count == 0) {
        return OK;
    }
    check_batch(g, &s->work);
    gpu_batch_write_table(&s->work, slot->in);
    const err_code code = queue(g, s, slot, e);
    if (code != OK) {
        (void)cudaStreamSynchronize(s->stream); /* queued work may still use the slot */
        s->work = (gpu_batch){0};
    }
    return code;
}

static err_code cuda_wait(engine *base, engine_slot *slot, err *e)
{
    cuda_slot *const s = slot->priv;
    err_code code = OK;
    (void)base;
    if (s->work.job_count == 0) {
        return OK;
    }
    TRY_OUT(cuda_check(cudaEventSynchronize(s->done), s->device, "quantize", e));
    gpu_batch_read_results(&s->work, slot->out);
out:
    s->work = (gpu_batch){0};
    return code;
}

/* ---- open and close -------------------------------------------- */

/* Results are ignored: on a lost device nothing can be released. */
static void close_slot(cuda_slot *s)
{
    (void)cudaSetDevice((int)s->device);
    if (s->stream) {
        (void)cudaStreamDestroy(s->stream);
    }
    if (s->done) {
        (void)cudaEventDestroy(s->done);
    }
    if (s->memory) {
        (void)cudaFree(s->memory);
    }
    *s = (cuda_slot){0};
}

static void cuda_close(engine *base)
{
    cuda_engine *const g = (cuda_engine *)base;
    for (unsigned i = 0; i < base->slot_count; i++) {
        close_slot(&g->slots[i]);
    }
    kernels_unload(&g->kernels);
    if (g->pinned) {
        (void)cudaHostUnregister(g->host);
    }
    free(g->host);
    free(g->slots);
    free(base->slots);
    free(g);
}

static size_t whole_pages(size_t bytes)
{
    return num_ceil_div(bytes, PAGE_BYTES) * PAGE_BYTES;
}

static slot_layout layout_of(const engine_cuda_options *o)
{
    slot_layout l;
    l.in = whole_pages(gpu_batch_table_bytes(o->max_tiles));
    l.out = l.in + whole_pages(o->in_bytes) + whole_pages(gpu_batch_results_bytes(o->max_tiles));
    l.bytes = l.out + whole_pages(o->out_bytes);
    l.device_bytes = num_ceil_div(l.bytes, HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES;
    return l;
}

static cudaError_t allocate(void **to, size_t bytes)
{
    size_t left = 0, all = 0;
    CUDA_TRY(cudaMemGetInfo(&left, &all));
    return left < bytes + CODE_RESERVE ? cudaErrorMemoryAllocation : cudaMalloc(to, bytes);
}

/* Create a slot's objects on the device. *what: the step that failed. */
static cudaError_t create_slot(cuda_slot *s, unsigned number, size_t bytes, const char **what)
{
    void *memory = NULL;
    s->device = number;
    *what = "use it";
    CUDA_TRY(cudaSetDevice((int)number));
    *what = "allocate memory";
    CUDA_TRY(allocate(&memory, bytes));
    s->memory = memory;
    *what = "create a stream";
    CUDA_TRY(cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking));
    *what = "create an event";
    return cudaEventCreateWithFlags(&s->done, cudaEventDisableTiming | cudaEventBlockingSync);
}

/* *full: the device has no memory left for a slot, its context or a stream, which is not an error
 * here. A slot that cannot be opened completely is closed again. */
static err_code open_slot(cuda_slot *s, unsigned number, const slot_layout *l, bool *full, err *e)
{
    const char *what = NULL;
    const cudaError_t result = create_slot(s, number, l->device_bytes, &what);
    if (result == cudaSuccess) {
        s->in = s->memory + l->in;
        s->out = s->memory + l->out;
        return OK;
    }
    close_slot(s);
    *full = result == cudaErrorMemoryAllocation;
    if (*full) {
        (void)cudaGetLastError();
        return OK;
    }
    return cuda_check(result, number, what, e);
}

static err_code no_memory(unsigned number, const slot_layout *l, err *e)
{
    const size_t need = (l->device_bytes + CODE_RESERVE) / MIB;
    size_t left = 0, all = 0;
    if (cudaSetDevice((int)number) != cudaSuccess || cudaMemGetInfo(&left, &all) != cudaSuccess) {
        (void)cudaGetLastError(); /* no memory even for a context */
        return err_set(e, ERR_GPU, "GPU %u: no memory for one slot: %zu MiB are needed", number,
                       need);
    }
    return err_set(e, ERR_GPU,
                   "GPU %u: no memory for one slot: %zu MiB are needed, %zu of %zu MiB are left",
                   number, need, left / MIB, all / MIB);
}

/* Give a device one more slot; *full: it has no memory for it, which is an error if `needed`. */
static err_code add_slot(cuda_engine *g, unsigned number, bool needed, bool *full, err *e)
{
    *full = false;
    TRY(open_slot(&g->slots[g->base.slot_count], number, &g->layout, full, e));
    if (*full && needed) {
        return no_memory(number, &g->layout, e);
    }
    g->base.slot_count += !*full;
    return OK;
}

/* Deal slots out to the devices in turn, until there are as many as wanted or all are full.
 * *failed: which of the devices the error is about. */
static err_code open_slots(cuda_engine *g, const engine_cuda_options *o, unsigned *failed, err *e)
{
    const uint64_t allowed = num_min(o->gpu_memory / g->layout.device_bytes, o->slots);
    bool found = true;
    for (uint64_t round = 0; round < allowed && found; round++) {
        found = false;
        for (unsigned d = 0; d < o->device_count && g->base.slot_count < o->slots; d++) {
            bool full = false;
            const err_code code = add_slot(g, o->devices[d], round == 0, &full, e);
            if (code != OK) {
                *failed = d;
                return code;
            }
            found = found || !full;
        }
    }
    g->base.device_bytes = g->base.slot_count * (uint64_t)g->layout.device_bytes;
    return OK;
}

/* One allocation for all slots, in huge pages if possible: fewer pages to pin. */
static err_code open_host(cuda_engine *g, err *e)
{
    const unsigned count = g->base.slot_count;
    g->host_bytes = count * g->layout.bytes;
    void *host = NULL;
    if (posix_memalign(&host, HUGE_PAGE_BYTES, g->host_bytes) != 0) {
        return err_set(e, ERR_MEMORY, "no memory for %u buffers of %zu bytes", count,
                       g->layout.bytes);
    }
    g->host = host;
    (void)madvise(host, g->host_bytes, MADV_HUGEPAGE); /* only advice: it may fail */
    const cudaError_t result = cudaHostRegister(host, g->host_bytes, cudaHostRegisterPortable);
    if (result != cudaSuccess) {
        (void)cudaGetLastError();
        return err_set(e, result == cudaErrorMemoryAllocation ? ERR_MEMORY : ERR_GPU,
                       "cannot pin %zu MiB of memory: %s", num_ceil_div(g->host_bytes, MIB),
                       cudaGetErrorString(result));
    }
    g->pinned = true;
    for (unsigned i = 0; i < count; i++) {
        unsigned char *const slot = g->host + i * g->layout.bytes;
        g->base.slots[i] = (engine_slot){
            .in = slot + g->layout.in, .out = slot + g->layout.out, .priv = &g->slots[i]};
    }
    return OK;
}

static err_code check_devices(const engine_cuda_options *o, unsigned *failed, err *e)
{
    device_list all;
    TRY(device_find_all(&all, e));
    for (unsigned d = 0; d < o->device_count; d++) {
        const unsigned number = o->devices[d];
        if (number >= all.count || !all.devices[number].usable) {
            *failed = d;
            return err_set(e, ERR_GPU, "GPU %u: %s", number,
                           number >= all.count ? "no such device" : "octavo has no code for it");
        }
    }
    return OK;
}

/* The kernel computes the bytes from one row to the next in 32 bits. Fewer than 2^31 codes, in at
 * least two rows, at four bytes for each element: that stays below 2^32. */
static err_code check_sizes(const engine_cuda_options *o, const slot_layout *l, err *e)
{
    if (o->out_bytes > INT32_MAX) {
        return err_set(e, ERR_GPU, "a row of tiles has %zu bytes of codes, too many for a GPU",
                       o->out_bytes);
    }
    if (o->gpu_memory < l->device_bytes) {
        const num_memory budget = num_as_memory(o->gpu_memory);
        err_set(e, ERR_MEMORY,
                "one slot needs %zu MiB of a GPU's memory, the budget is %" PRIu64 " %s",
                num_ceil_div(l->device_bytes, MIB), budget.count, budget.unit);
        err_hint(e, "give more with --gpu-memory");
        return ERR_MEMORY;
    }
    return OK;
}

static const engine_ops cuda_ops = {"cuda", cuda_submit, cuda_wait, cuda_close};

/* An engine with no slots yet; NULL: no memory. */
static cuda_engine *engine_new(const engine_cuda_options *o, const slot_layout *l)
{
    cuda_engine *const g = malloc(sizeof *g);
    engine_slot *const base_slots = calloc(o->slots, sizeof *base_slots);
    cuda_slot *const slots = calloc(o->slots, sizeof *slots);
    if (!g || !base_slots || !slots) {
        free(g);
        free(base_slots);
        free(slots);
        return NULL;
    }
    *g = (cuda_engine){
        .base = {.ops = &cuda_ops,
                 .slots = base_slots,
                 .in_bytes = o->in_bytes,
                 .out_bytes = o->out_bytes},
        .slots = slots,
        .max_tiles = o->max_tiles,
        .layout = *l,
    };
    return g;
}

err_code engine_cuda_open(const engine_cuda_options *o, engine **out, unsigned *failed, err *e)
{
    const slot_layout layout = layout_of(o);
    unsigned nobody;
    failed = failed ? failed : &nobody;
    *failed = o->device_count;
    err_code code = OK;
    TRY(check_devices(o, failed, e));
    TRY(check_sizes(o, &layout, e));
    cuda_engine *const g = engine_new(o, &layout);
    if (!g) {
        return err_set(e, ERR_MEMORY, "no memory for %u slots", o->slots);
    }
    TRY_OUT(kernels_load(&g->kernels, e));
    TRY_OUT(open_slots(g, o, failed, e));
    TRY_OUT(open_host(g, e));
    *out = &g->base;
out:
    if (code != OK) {
        engine_close(&g->base);
    }
    return code;
}
