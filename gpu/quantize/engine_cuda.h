/* The CUDA engine (quant/engine/engine.h): slots with pinned host buffers and a stream each, on one device
 * or several.
 *
 * A submit is one copy to the device, one kernel launch for all neighbouring jobs of one source
 * type and scale kind, and one copy back; slots overlap, so that both directions of the link and
 * the kernel work at once. Bits are those of the CPU engine (spec/quant.md). */
#ifndef ENGINE_CUDA_H
#define ENGINE_CUDA_H

#include "quant/engine/engine.h"

typedef struct engine_cuda_options {
    const unsigned
        *devices; /* numbers as in gpu/device/device.h; slots are dealt out to them in turn. One
                                that stands here twice has twice the slots. */
    unsigned device_count;      /* > 0 */
    unsigned slots;             /* wanted; the engine may have fewer */
    size_t in_bytes, out_bytes; /* of each slot */
    size_t max_tiles;           /* of one submit */
    uint64_t gpu_memory;        /* the most to take of each device */
} engine_cuda_options;

/* With too little device memory for all slots the engine has fewer: each device has one, or the
 * last have none if fewer are wanted than there are devices. Host memory is that of the slots, and
 * some KiB for the tables of each. Errors: ERR_GPU: no CUDA, no such device, no code for it, not
 * enough memory for one slot, or the device fails; ERR_MEMORY: host memory, or gpu_memory less than
 * one slot needs. *failed is then the place in `devices` of the one that cannot be used, so that
 * the others can be tried, or device_count if it is not one device's fault; NULL: nobody asks. */
MUST_CHECK err_code engine_cuda_open(const engine_cuda_options *o, engine **out, unsigned *failed,
                                     err *e);

#endif
