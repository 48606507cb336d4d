/* The streaming part of an export: read chunks -> check their digests -> write tensors, by as many
 * threads as the budget has room for.
 *
 * Work is done shard by shard in the order of the packed file. A shard is made when its first
 * tensor comes and synced by whoever writes its last one, while others go on with the next. */
#ifndef EXPORT_STREAM_H
#define EXPORT_STREAM_H

#include "convert/export/export_plan.h"
#include "format/base/monitor.h"
#include "format/pack/pack_file.h"

typedef struct export_stream_job {
    const pack_file *file;
    const pack_evidence *evidence;
    const export_plan *plan;
    const char *dir; /* where the shards go */
    unsigned threads;
    uint64_t memory;
} export_stream_job;

/* Bytes that pass: what is read of the packed file for this plan, without what is read twice. */
uint64_t export_stream_bytes(const pack_table *t, const export_plan *plan);

/* Errors: ERR_DAMAGED a digest, ERR_INPUT a scale that is no power of two though the file says so,
 * ERR_MEMORY the budget is less than one chunk needs, ERR_CANCELLED, and those of reading and
 * writing. */
MUST_CHECK err_code export_stream(const export_stream_job *job, const monitor *m, err *e);

#endif
