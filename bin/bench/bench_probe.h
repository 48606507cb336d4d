/* Measures a disk without computing anything: reads a checkpoint, writes a file, or does both at
 * once, with several threads, in pieces of the size that a conversion uses.
 *
 *     const probe_job job = {.cp = cp, .path = "probe.bin", .out_bytes = n, .workers = 4};
 *     probe_run(&job, m, &seconds, e)
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include "format/checkpoint/checkpoint.h"
#include "format/base/monitor.h"

typedef struct probe_job {
    const checkpoint *cp; /* whose shards are read; NULL: nothing is read */
    const char *path;     /* the file to write and remove again; NULL: nothing is written */
    uint64_t out_bytes;   /* > 0 with a path, otherwise 0 */
    unsigned workers;     /* >= 1 */
} probe_job;

/* *seconds: from the first read or write to the end of the last one, including the sync. Errors:
 * ERR_IO, ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code probe_run(const probe_job *job, const monitor *m, double *seconds, err *e);

/* Drop a file from the page cache, as far as the system allows. */
void probe_drop_cache(const char *path);

#endif
