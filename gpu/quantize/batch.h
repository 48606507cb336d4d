/* From the jobs of a submit to the table of tiles that a launch reads, and back from the results of
 * tiles to those of jobs.
 *
 * On host and device alike a slot has two stretches of memory. In front of the input lies the
 * table, in front of the output lie the results, close up to what follows: so one copy takes table
 * and input to the device and one brings results and output back.
 *
 *     ... tiles | input          ... scales | stats | output */
#ifndef BATCH_H
#define BATCH_H

#include <stddef.h>

#include "gpu/quantize/quantize.h"
#include "quant/engine/engine.h"

enum { BATCH_ALIGN = 256 }; /* of every part */

/* Jobs and tiles of one submit, in the order of the jobs. */
typedef struct gpu_batch {
    const engine_job *jobs;
    size_t job_count, tile_count;
    size_t in_bytes, out_bytes; /* used, from the slot's beginning on */
} gpu_batch;

gpu_batch gpu_batch_of(const engine_job *jobs, size_t count);

/* Bytes in front of the input and in front of the output. */
size_t gpu_batch_table_bytes(size_t tiles);
size_t gpu_batch_results_bytes(size_t tiles);

/* Write the table to the host's memory in front of `in`. */
void gpu_batch_write_table(const gpu_batch *b, unsigned char *in);

/* The argument of a launch, with addresses of the device: `in` and `out` of the slot there. */
gpu_launch gpu_batch_launch(const gpu_batch *b, unsigned char *in, unsigned char *out);

/* Give every job its scales and statistics, which lie in front of the host's `out`. */
void gpu_batch_read_results(const gpu_batch *b, const unsigned char *out);

#endif
