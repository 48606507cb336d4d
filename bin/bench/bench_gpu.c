/* The speed of the CUDA devices and of their links. */
#include <inttypes.h>

#include "bin/bench/bench.h"
#include "format/base/num.h"
#include "gpu/quantize/measure_gpu.h"

/* Source bytes of one run of the engine: enough that its start and end do not matter. */
#define ENGINE_BYTES (8 * GIB)

/* The same slots as in a conversion (convert/stream/convert.c). */
enum { SLOTS_AHEAD = 2 };
#define SLOT_BYTES (2 * MIB)

/* Large matrices, and as many small ones as the experts of a layer. */
static const kernel_case cases[] = {
    {16384, 16384, 8, DTYPE_BF16, SCALES_F32},
    {512, 2048, 2048, DTYPE_BF16, SCALES_F32},
    {2048, 512, 2048, DTYPE_BF16, SCALES_F32},
};

/* Speeds of the parts of a conversion on one device, in bytes of source per second. */
typedef struct device_speed {
    double link;   /* to the device, while half as many bytes of codes are copied back */
    double kernel; /* the slowest case; 0: no case fits into memory */
} device_speed;

/* The default of --gpu-memory is meant for conversions. These large matrices need more, and get it
 * unless --gpu-memory is given. */
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
        TRY(measure_kernel(d->index, budget(b), c, &speed, e));
        if (speed.bytes == 0) { /* does not fit */
            continue;
        }
        const double bytes = (double)speed.bytes;
        const double source = 2.0 * (double)(c->rows * c->cols * c->count) / speed.seconds;
        if (*slowest == 0) {
            bench_result_add(b, (bench_result){.rate = speed.copy_bandwidth},
                             "cuda:%u copy, read and written", d->index);
        }
        bench_result_add(b,
                         (bench_result){bytes / speed.seconds, bytes / speed.copy_seconds, "copy"},
                         "cuda:%u kernel, %" PRIu64 " x [%" PRIu64 ", %" PRIu64 "]", d->index,
                         c->count, c->rows, c->cols);
        *slowest = *slowest == 0 || source < *slowest ? source : *slowest;
    }
    return OK;
}

static err_code measure_links(bench *b, const device_info *d, double *source, err *e)
{
    link_speed link;
    TRY(measure_link(d->index, budget(b), &link, e));
    bench_result_add(b, (bench_result){.rate = link.in}, "cuda:%u link, in", d->index);
    bench_result_add(b, (bench_result){.rate = link.out}, "cuda:%u link, out", d->index);
    *source = link.both_in < 2 * link.both_out ? link.both_in : 2 * link.both_out;
    bench_result_add(b, (bench_result){*source, link.in, "in alone"}, "cuda:%u link, both ways",
                     d->index);
    return OK;
}

/* The engine on one device, with the slots of a conversion but without checks. */
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
    err_code code = OK;
    TRY_OUT(compute_open(&one, &request, &slots, b->job.threads, b->m, e));
    TRY_OUT(bench_engine(b, one.engine, ENGINE_BYTES, &rate, e));
    bench_result_add(b, (bench_result){rate, link, "link, both ways"}, "cuda:%u engine, %u slots",
                     d->index, one.engine->slot_count);
out:
    compute_close(&one, b->m);
    return code;
}

static err_code measure_device(bench *b, const device_info *d, device_speed *out, err *e)
{
    if (monitor_cancelled(b->m)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    TRY(measure_links(b, d, &out->link, e));
    TRY(measure_kernels(b, d, &out->kernel, e));
    return measure_engine(b, d, out->link, e);
}

static void add_device(bench *b, const device_speed *speed)
{
    bench_stage_add(b, "link", speed->link);
    b->link += speed->link;
    if (speed->kernel > 0) {
        bench_stage_add(b, "kernel", speed->kernel);
    }
}

/* A device that cannot be measured is treated like one that cannot be used for a conversion. */
err_code bench_gpus(bench *b, err *e)
{
    const device_list *const l = &b->device.devices;
    for (unsigned i = 0; i < l->count;) {
        err why = {0};
        device_speed speed = {0};
        if (measure_device(b, &l->devices[i], &speed, &why) == OK) {
            add_device(b, &speed);
            i++;
        } else { /* the next device moves to index i */
            TRY(compute_drop_device(&b->device, &b->request, i, &why, b->m, e));
        }
    }
    return OK;
}
