/* What the CUDA devices and their links can do. */
#include <inttypes.h>

#include "bin/bench.h"
#include "format/num.h"
#include "gpu/measure_gpu.h"

/* Source bytes of one run of the engine: long enough that its beginning and end do not count. */
#define ENGINE_BYTES (8 * GIB)

/* Slots as a conversion makes them (convert/convert.c). */
enum { SLOTS_AHEAD = 2 };
#define SLOT_BYTES (2 * MIB)

/* One matrix after the other, and as many small ones as a layer of experts has. */
static const kernel_case cases[] = {
    {16384, 16384, 8, DTYPE_BF16, SCALES_F32},
    {512, 2048, 2048, DTYPE_BF16, SCALES_F32},
    {2048, 512, 2048, DTYPE_BF16, SCALES_F32},
};

/* Case and copy each take source and codes. */
static bool fits(const device_info *d, const kernel_case *c)
{
    const uint64_t codes = c->rows * c->cols * c->count;
    return 2 * 3 * codes < d->memory_bytes / 10 * 9;
}

static err_code measure_kernels(bench *b, const device_info *d, err *e)
{
    double slowest = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const kernel_case *const c = &cases[i];
        kernel_speed speed;
        if (!fits(d, c)) {
            continue;
        }
        const err_code code = measure_kernel(d->index, c, &speed, e);
        if (code != OK) {
            return code;
        }
        const double bytes = (double)speed.bytes;
        const double source = 2.0 * (double)(c->rows * c->cols * c->count) / speed.seconds;
        if (slowest == 0) {
            bench_tell(b, (bench_result){.rate = speed.copy_bandwidth},
                       "cuda:%u copy, read and written", d->index);
        }
        bench_tell(b, (bench_result){bytes / speed.seconds, bytes / speed.copy_seconds, "copy"},
                   "cuda:%u kernel, %" PRIu64 " x [%" PRIu64 ", %" PRIu64 "]", d->index, c->count,
                   c->rows, c->cols);
        slowest = slowest == 0 || source < slowest ? source : slowest;
    }
    if (slowest > 0) {
        bench_stage_add(b, "kernel", slowest);
    }
    return OK;
}

/* *source: bytes of source that the link takes while half as many codes come back. */
static err_code measure_links(bench *b, const device_info *d, double *source, err *e)
{
    link_speed link;
    const err_code code = measure_link(d->index, &link, e);
    if (code != OK) {
        return code;
    }
    bench_tell(b, (bench_result){.rate = link.in}, "cuda:%u link, in", d->index);
    bench_tell(b, (bench_result){.rate = link.out}, "cuda:%u link, out", d->index);
    *source = link.both_in < 2 * link.both_out ? link.both_in : 2 * link.both_out;
    bench_tell(b, (bench_result){*source, link.in, "in alone"}, "cuda:%u link, both ways",
               d->index);
    bench_stage_add(b, "link", *source);
    b->link += *source;
    return OK;
}

/* Slots as a conversion has them, on one device, nothing checked. */
static err_code measure_engine(bench *b, const device_info *d, double link, err *e)
{
    compute one = {.devices = {.count = 1, .devices = {*d}}};
    compute_request request = b->request;
    double rate = 0;
    request.kind = COMPUTE_CUDA;
    request.check_share = 0;
    const convert_slots slots = {
        .count = (unsigned)num_min(b->threads + SLOTS_AHEAD, BENCH_MEMORY / (3 * SLOT_BYTES)),
        .in_bytes = 2 * SLOT_BYTES,
        .out_bytes = SLOT_BYTES,
        .max_tiles = SLOT_BYTES / (TILE * TILE),
    };
    err_code code = compute_open(&one, &request, &slots, b->threads, b->m, e);
    if (code == OK) {
        code = bench_engine(b, one.engine, ENGINE_BYTES, &rate, e);
    }
    if (code == OK) {
        bench_tell(b, (bench_result){rate, link, "link, both ways"}, "cuda:%u engine, %u slots",
                   d->index, one.engine->slot_count);
    }
    compute_close(&one, b->m);
    return code;
}

static err_code measure_device(bench *b, const device_info *d, err *e)
{
    double link = 0;
    if (monitor_cancelled(b->m)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    err_code code = measure_links(b, d, &link, e);
    if (code == OK) {
        code = measure_kernels(b, d, e);
    }
    return code == OK ? measure_engine(b, d, link, e) : code;
}

/* With `auto` a device that cannot be measured is one that cannot be used, as for a conversion. */
err_code bench_gpus(bench *b, err *e)
{
    err why = {0};
    err_code code = OK;
    for (unsigned i = 0; i < b->device.devices.count && code == OK; i++) {
        code = measure_device(b, &b->device.devices.devices[i], &why);
    }
    if ((code == ERR_GPU || code == ERR_MEMORY) && b->request.kind == COMPUTE_AUTO) {
        monitor_note(b->m, "the GPU cannot be used (%s): computing on the CPU", why.text);
        b->device.devices.count = 0;
        return OK;
    }
    if (code != OK && e->code == OK) {
        *e = why;
    }
    return code;
}
