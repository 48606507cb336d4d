/* Converts the jobs of one submit to the table of tiles that a launch reads, and the results of
 * tiles back to results of jobs.
 *
 *     b = gpu_batch_of(jobs, count);
 *     gpu_batch_write_table(&b, host_in);               copy to the device
 *     launch = gpu_batch_launch(&b, in, out);           launch, copy back
 *     gpu_batch_read_results(&b, host_out);
 *
 * A slot has two memory areas on the host and the same two on the device. The table ends where the
 * input begins, and the results end where the output begins: so one copy takes table and input to
 * the device, and one copy brings results and output back.
 *
 *     ... tiles | input          ... scales | stats | output
 *
 * Nothing here allocates, fails or calls CUDA. */
#ifndef BATCH_H
#define BATCH_H

#include <stddef.h>

#include "gpu/quantize/quantize.h"
#include "quant/engine/engine.h"

enum { BATCH_ALIGN = 256 }; /* bytes, of every part */

/* The jobs of one submit, borrowed; tiles are in the order of the jobs. */
typedef struct gpu_batch {
    const engine_job *jobs;
    size_t job_count, tile_count;
    size_t in_bytes, out_bytes; /* used bytes of the slot's input and output */
} gpu_batch;

gpu_batch gpu_batch_of(const engine_job *jobs, size_t count);

/* Bytes before the input (the table) and before the output (the results). */
size_t gpu_batch_table_bytes(size_t tiles);
size_t gpu_batch_results_bytes(size_t tiles);

/* Write the table to host memory, so that it ends at `in`. */
void gpu_batch_write_table(const gpu_batch *b, unsigned char *in);

/* The argument of a launch; `in` and `out` are those of the slot on the device. */
gpu_launch gpu_batch_launch(const gpu_batch *b, unsigned char *in, unsigned char *out);

/* Copy scales and statistics, which end at the host's `out`, to every job. */
void gpu_batch_read_results(const gpu_batch *b, const unsigned char *out);

#endif
