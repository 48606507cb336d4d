/* The streaming part of an export: read chunks -> check their digests -> write tensors, on as many
 * threads as the memory budget allows.
 *
 *     const export_stream_job job = {.file = f, .evidence = &v, .plan = &plan, .folder = folder, ...};
 *     export_stream(&job, m, e);
 *
 * Work is done shard by shard in the order of the packed file. The thread that needs a shard first
 * creates it; the thread that finishes its last task syncs it, while others work on the next. */
#ifndef EXPORT_STREAM_H
#define EXPORT_STREAM_H

#include "convert/export/export_plan.h"
#include "format/base/monitor.h"
#include "format/output/output.h"
#include "format/pack/pack_file.h"

typedef struct export_stream_job {
    const pack_file *file;
    const pack_evidence *evidence;
    const export_plan *plan;
    output_folder folder; /* where the shards go */
    unsigned threads;
    uint64_t memory;
} export_stream_job;

/* The bytes of the packed file that this plan exports, which progress counts. More are read: chunks
 * that several shards share, and scales of codes that are dequantized. */
uint64_t export_stream_bytes(const pack_table *t, const export_plan *plan);

/* Errors: ERR_DAMAGED a digest does not match; ERR_INPUT a scale is not a power of two although the
 * file says so, or is not exact in 16 bits; ERR_MEMORY the budget is less than one task needs;
 * ERR_CANCELLED; those of reading and writing. */
MUST_CHECK err_code export_stream(const export_stream_job *job, const monitor *m, err *e);

#endif
