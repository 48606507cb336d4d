#include "convert/stream/readback.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "format/file/io.h"
#include "format/output/mapped_output.h"
#include "format/base/num.h"
#include "format/thread/parallel.h"

bool readback_is_pointless(const output *o)
{
    return mapped_output_is_one(output_descriptor(o));
}

typedef struct readback {
    const pipeline_job *job;
    const pack_evidence *evidence;
    const monitor *m;
} readback;

static err_code differs(const readback *b, const char *what, uint64_t off, err *e)
{
    return err_set(e, ERR_IO,
                   "%s: %s: the bytes read back differ from those written (offset %" PRIu64 ")",
                   output_part_path(b->job->out), what, off);
}

static err_code check_chunk(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const readback *const b = ctx;
    const pack_table *const t = &b->job->plan->table;
    const pack_record *const r = &t->records[pack_table_chunk_owner(t, task)];
    const pack_chunk c = pack_record_chunk(r, task - r->chunk_first);
    unsigned char *const buffer = b->job->engine->slots[worker].in;
    unsigned char digest[DIGEST_MAX];
    TRY(io_read_at(output_descriptor(b->job->out), output_part_path(b->job->out), c.off, buffer,
                   c.bytes, e));
    TRY(digest_of(b->evidence->alg, buffer, c.bytes, digest, e));
    monitor_advance(b->m, c.bytes);
    if (memcmp(digest, pack_evidence_chunk(b->evidence, task), digest_bytes(b->evidence->alg)) !=
        0) {
        return differs(b, r->name, c.off, e);
    }
    return OK;
}

/* Compare head or tail with the bytes in memory, through the first slot's buffer. */
static err_code check_bytes(const readback *b, const char *what, uint64_t off,
                            const unsigned char *expected, uint64_t bytes, err *e)
{
    const engine *const g = b->job->engine;
    for (uint64_t done = 0; done < bytes;) {
        const uint64_t n = num_min(bytes - done, g->in_bytes);
        TRY(io_read_at(output_descriptor(b->job->out), output_part_path(b->job->out), off + done,
                       g->slots[0].in, n, e));
        if (memcmp(g->slots[0].in, expected + done, n) != 0) {
            return differs(b, what, off + done, e);
        }
        done += n;
    }
    return OK;
}

err_code readback_run(const pipeline_job *job, const pack_evidence *v, const pack_tail *tail,
                      const monitor *m, err *e)
{
    readback b = {.job = job, .evidence = v, .m = m};
    const plan *const p = job->plan;
    /* Without this the page cache would answer. It is only advice: where it is ignored, the
     * comparison is weaker. */
    (void)posix_fadvise(output_descriptor(job->out), 0, 0, POSIX_FADV_DONTNEED);
    TRY(check_bytes(&b, "the head", 0, p->head.bytes, p->head.length, e));
    TRY(parallel_for(job->slots, p->table.chunk_count, check_chunk, &b, m, e));
    return check_bytes(&b, "the tail", p->table.data_end, tail->bytes, tail->length, e);
}
