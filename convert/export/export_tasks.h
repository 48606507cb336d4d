/* The work list of an export: consecutive chunks of one record, cut where the next shard begins. */
#ifndef EXPORT_TASKS_H
#define EXPORT_TASKS_H

#include "convert/export/export_plan.h"
#include "format/base/monitor.h"

/* Bytes [begin, end) of a record go to one shard. They may begin or end within a chunk only where
 * its other bytes go to another shard. */
typedef struct export_task {
    uint32_t record, shard;
    uint64_t begin, end;
} export_task;

typedef struct export_tasks {
    export_task *tasks; /* shard by shard, within each in file order */
    uint64_t count;
    uint64_t *of_shard; /* [shard_count] how many tasks each shard has */
    uint64_t max_bytes; /* the most that the chunks of one task have, read as a whole */
} export_tasks;

/* A task reads no more than this, unless a chunk is larger. */
enum { EXPORT_BATCH = 4 << 20 };

/* Errors: ERR_MEMORY, ERR_CANCELLED. Free with export_tasks_free, also after an error. */
MUST_CHECK err_code export_tasks_make(const pack_table *t, const export_plan *plan,
                                      const monitor *m, export_tasks *out, err *e);
void export_tasks_free(export_tasks *t);

#endif
