/* What a disk gives when nothing is computed: a checkpoint is read, or a file written, or both at
 * once, by several threads, in pieces such as a conversion has.
 *
 *     const probe_job job = {.cp = cp, .path = "probe.bin", .out_bytes = n, .workers = 4};
 *     probe_run(&job, m, &seconds, e)
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include "format/checkpoint/checkpoint.h"
#include "format/base/monitor.h"

typedef struct probe_job {
    const checkpoint *cp; /* whose shards are read; NULL: nothing is */
    const char *path;     /* what is written and removed again; NULL: nothing is */
    uint64_t out_bytes;   /* > 0 with a path, else 0 */
    unsigned workers;     /* >= 1 */
} probe_job;

/* Seconds from the first read or write to the end of the last and of the sync. Errors: ERR_IO,
 * ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code probe_run(const probe_job *job, const monitor *m, double *seconds, err *e);

/* Forget what the page cache holds of a file, as far as the system lets us. */
void probe_drop_cache(const char *path);

#endif
