/* The CUDA engine (quant/engine/engine.h): slots on one or several devices, each with pinned host
 * buffers and its own stream.
 *
 *     engine_cuda_open(&options, &g, &failed, e);
 *     ... engine_submit(g, &g->slots[i], jobs, count, e), engine_wait(g, &g->slots[i], e) ...
 *     engine_close(g);
 *
 * A submit is one copy to the device, one kernel launch for each run of consecutive jobs with the
 * same source type, scale kind and dialect, and one copy back. Slots overlap, so that both
 * directions of the link and the kernels are busy at the same time. The bits are those of the CPU
 * engine (spec/quant.md). */
#ifndef ENGINE_CUDA_H
#define ENGINE_CUDA_H

#include "quant/engine/engine.h"

typedef struct engine_cuda_options {
    /* Numbers as in gpu/device/device.h. Slots are dealt out to the devices in turn; a device that
     * is listed twice gets twice the slots. */
    const unsigned *devices;
    unsigned device_count;      /* > 0 */
    unsigned slots;             /* wanted; the engine may have fewer */
    size_t in_bytes, out_bytes; /* of each slot */
    size_t max_tiles;           /* of one submit */
    uint64_t gpu_memory;        /* limit for each device, bytes */
} engine_cuda_options;

/* If device memory is too small for all slots, the engine has fewer, but at least one on each
 * device (unless fewer slots than devices are wanted: then the last devices have none). Host memory
 * is that of the slots, and some KiB for the tables of each. Errors: ERR_GPU: no CUDA, no such
 * device, no code for it, not enough memory for one slot, or the device fails; ERR_MEMORY: out of
 * host memory, or gpu_memory is less than one slot needs. After an error *failed is the index in
 * `devices` of the device that cannot be used, so that the caller can try the rest, or device_count
 * if the error is not about one device; `failed` may be NULL. */
MUST_CHECK err_code engine_cuda_open(const engine_cuda_options *o, engine **out, unsigned *failed,
                                     err *e);

#endif
