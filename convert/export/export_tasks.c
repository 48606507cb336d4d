#include "convert/export/export_tasks.h"

#include <stdlib.h>

#include "format/base/num.h"

/* Where a chunk begins in its record. */
static uint64_t chunk_begin(const pack_record *r, const pack_chunk *c)
{
    return c->slice * pack_record_slice_bytes(r) + c->begin;
}

/* The shard of the byte `at` of a record; *end: where the consecutive bytes for that shard end. */
static uint32_t shard_at(const export_plan *plan, const export_record *x, uint64_t at,
                         uint64_t *end)
{
    uint64_t part = at / x->part_bytes;
    const uint32_t shard = plan->tensors[x->first + part].shard;
    while (part < x->parts && plan->tensors[x->first + part].shard == shard) {
        part++;
    }
    *end = part * x->part_bytes;
    return shard;
}

typedef struct cutter {
    const export_plan *plan;
    const monitor *monitor;
    export_tasks *out;
    uint64_t capacity;
    uint64_t bytes; /* of all chunks that the last task touches */
    bool open;      /* the last task may grow */
    uint32_t shard; /* of the record's bytes up to shard_end */
    uint64_t shard_end;
} cutter;

static export_task *add(cutter *c, err *e)
{
    export_tasks *const out = c->out;
    if (out->count == c->capacity) {
        const uint64_t capacity = num_max(256, 2 * c->capacity);
        export_task *const larger = realloc(out->tasks, capacity * sizeof *larger);
        if (!larger) {
            err_set(e, ERR_MEMORY, "no memory for the tasks of an export");
            return NULL;
        }
        out->tasks = larger;
        c->capacity = capacity;
    }
    return &out->tasks[out->count++];
}

/* Add bytes [begin, end) of a record, part of a chunk of `bytes` bytes, for `shard`: to the last
 * task if it ends there, is for the same shard and stays small enough; otherwise to a new task. */
static err_code put(cutter *c, uint32_t record, uint64_t bytes, uint64_t begin, uint64_t end,
                    uint32_t shard, err *e)
{
    export_task *t = c->out->count > 0 ? &c->out->tasks[c->out->count - 1] : NULL;
    if (c->open && t && t->record == record && t->shard == shard && t->end == begin &&
        c->bytes + bytes <= EXPORT_BATCH) {
        t->end = end;
        c->bytes += bytes;
    } else {
        t = add(c, e);
        if (!t) {
            return ERR_MEMORY;
        }
        *t = (export_task){record, shard, begin, end};
        c->bytes = bytes;
        c->open = true;
    }
    c->out->max_bytes = num_max(c->out->max_bytes, c->bytes);
    return OK;
}

/* A shard is looked up once, not for each of the many chunks that it may get. */
static err_code cut_record(cutter *c, const pack_record *r, uint32_t record, err *e)
{
    const export_record *const x = &c->plan->records[record];
    c->open = false;
    c->shard_end = 0;
    for (uint64_t k = 0; k < r->chunk_count && x->parts > 0; k++) {
        TRY(monitor_step(c->monitor, k, e));
        const pack_chunk chunk = pack_record_chunk(r, k);
        const uint64_t chunk_end = chunk_begin(r, &chunk) + chunk.bytes;
        for (uint64_t at = chunk_begin(r, &chunk); at < chunk_end;) {
            if (at >= c->shard_end) {
                c->shard = shard_at(c->plan, x, at, &c->shard_end);
            }
            const uint64_t end = num_min(c->shard_end, chunk_end);
            TRY(put(c, record, chunk.bytes, at, end, c->shard, e));
            at = end;
        }
    }
    return OK;
}

/* A counting sort by shard, which keeps file order within each shard. */
static err_code sort_tasks(uint32_t shards, export_tasks *t, err *e)
{
    uint64_t *const next = calloc((size_t)shards + 1, sizeof *next);
    export_task *const sorted = calloc(t->count + 1, sizeof *sorted);
    if (!next || !sorted) {
        free(next);
        free(sorted);
        return err_set(e, ERR_MEMORY, "no memory for the tasks of an export");
    }
    for (uint32_t s = 0; s < shards; s++) {
        t->of_shard[s] = 0;
    }
    for (uint64_t i = 0; i < t->count; i++) {
        t->of_shard[t->tasks[i].shard]++;
    }
    for (uint32_t s = 0; s + 1 < shards; s++) {
        next[s + 1] = next[s] + t->of_shard[s];
    }
    for (uint64_t i = 0; i < t->count; i++) {
        sorted[next[t->tasks[i].shard]++] = t->tasks[i];
    }
    free(next);
    free(t->tasks);
    t->tasks = sorted;
    return OK;
}

err_code export_tasks_make(const pack_table *t, const export_plan *plan, const monitor *m,
                           export_tasks *out, err *e)
{
    *out = (export_tasks){.of_shard = calloc((size_t)plan->shard_count + 1, sizeof *out->of_shard)};
    cutter c = {.plan = plan, .monitor = m, .out = out};
    if (!out->of_shard) {
        return err_set(e, ERR_MEMORY, "no memory for the tasks of an export");
    }
    for (uint32_t i = 0; i < t->count; i++) {
        TRY(cut_record(&c, &t->records[i], i, e));
    }
    return sort_tasks(plan->shard_count, out, e);
}

void export_tasks_free(export_tasks *t)
{
    free(t->tasks);
    free(t->of_shard);
    *t = (export_tasks){0};
}
