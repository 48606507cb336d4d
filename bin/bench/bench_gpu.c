/* What the CUDA devices and their links can do. */
#include <inttypes.h>

#include "bin/bench/bench.h"
#include "format/base/num.h"
#include "gpu/quantize/measure_gpu.h"

/* Source bytes of one run of the engine: long enough that its beginning and end do not count. */
#define ENGINE_BYTES (8 * GIB)

/* Slots as a conversion makes them (convert/stream/convert.c). */
enum { SLOTS_AHEAD = 2 };
#define SLOT_BYTES (2 * MIB)

/* One matrix after the other, and as many small ones as a layer of experts has. */
static const kernel_case cases[] = {
    {16384, 16384, 8, DTYPE_BF16, SCALES_F32},
    {512, 2048, 2048, DTYPE_BF16, SCALES_F32},
    {2048, 512, 2048, DTYPE_BF16, SCALES_F32},
};

/* What a device does of a conversion, in bytes of source a second. */
typedef struct device_speed {
    double link;   /* in, while half as many codes come back */
    double kernel; /* the slowest case; 0: there was room for none */
} device_speed;

/* What --gpu-memory bounds is a conversion; matrices as large as these need more, and may have it
 * unless somebody asks for less. */
static uint64_t budget(const bench *b)
{
    return b->request.gpu_memory > 0 ? b->request.gpu_memory : UINT64_MAX;
}

static err_code measure_kernels(bench *b, const device_info *d, double *slowest, err *e)
{
    *slowest = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const kernel_case *const c = &cases[i];
        kernel_speed speed;
        const err_code code = measure_kernel(d->index, budget(b), c, &speed, e);
        if (code != OK) {
            return code;
        }
        if (speed.bytes == 0) { /* does not fit */
            continue;
        }
        const double bytes = (double)speed.bytes;
        const double source = 2.0 * (double)(c->rows * c->cols * c->count) / speed.seconds;
        if (*slowest == 0) {
            bench_tell(b, (bench_result){.rate = speed.copy_bandwidth},
                       "cuda:%u copy, read and written", d->index);
        }
        bench_tell(b, (bench_result){bytes / speed.seconds, bytes / speed.copy_seconds, "copy"},
                   "cuda:%u kernel, %" PRIu64 " x [%" PRIu64 ", %" PRIu64 "]", d->index, c->count,
                   c->rows, c->cols);
        *slowest = *slowest == 0 || source < *slowest ? source : *slowest;
    }
    return OK;
}

static err_code measure_links(bench *b, const device_info *d, double *source, err *e)
{
    link_speed link;
    const err_code code = measure_link(d->index, budget(b), &link, e);
    if (code != OK) {
        return code;
    }
    bench_tell(b, (bench_result){.rate = link.in}, "cuda:%u link, in", d->index);
    bench_tell(b, (bench_result){.rate = link.out}, "cuda:%u link, out", d->index);
    *source = link.both_in < 2 * link.both_out ? link.both_in : 2 * link.both_out;
    bench_tell(b, (bench_result){*source, link.in, "in alone"}, "cuda:%u link, both ways",
               d->index);
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
        .count = (unsigned)num_max(
            1, num_min(b->job.threads + SLOTS_AHEAD, b->job.memory / (3 * SLOT_BYTES))),
        .in_bytes = 2 * SLOT_BYTES,
        .out_bytes = SLOT_BYTES,
        .max_tiles = SLOT_BYTES / (TILE * TILE),
    };
    err_code code = compute_open(&one, &request, &slots, b->job.threads, b->m, e);
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

static err_code measure_device(bench *b, const device_info *d, device_speed *out, err *e)
{
    if (monitor_cancelled(b->m)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    err_code code = measure_links(b, d, &out->link, e);
    if (code == OK) {
        code = measure_kernels(b, d, &out->kernel, e);
    }
    return code == OK ? measure_engine(b, d, out->link, e) : code;
}

static void add_device(bench *b, const device_speed *speed)
{
    bench_stage_add(b, "link", speed->link);
    b->link += speed->link;
    if (speed->kernel > 0) {
        bench_stage_add(b, "kernel", speed->kernel);
    }
}

/* A device that cannot be measured is one that cannot be used, as for a conversion. */
err_code bench_gpus(bench *b, err *e)
{
    const device_list *const l = &b->device.devices;
    err_code code = OK;
    for (unsigned i = 0; i < l->count && code == OK;) {
        err why = {0};
        device_speed speed = {0};
        code = measure_device(b, &l->devices[i], &speed, &why);
        if (code == OK) {
            add_device(b, &speed);
            i++;
        } else {
            code = compute_leave_out(&b->device, &b->request, i, &why, b->m, e);
        }
    }
    return code;
}
