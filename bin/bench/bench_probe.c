#include "bin/bench/bench_probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/cli/progress.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/output/output.h"
#include "format/thread/parallel.h"

enum { PAGE = 4096 };
#define PIECE (2 * MIB)

typedef struct probe {
    const probe_job *job;
    size_t shards;
    int *fds;               /* [shards], -1: not open */
    uint64_t *pieces;       /* [shards + 1] number of pieces before each shard */
    unsigned char *buffers; /* [workers] pieces */
    uint64_t in, out;       /* number of pieces to read and to write */
    uint64_t tasks;
    output *file;
} probe;

static err_code read_piece(const probe *p, unsigned worker, uint64_t piece, err *e)
{
    size_t s = 0;
    while (p->pieces[s + 1] <= piece) {
        s++;
    }
    const shard *const from = &p->job->cp->shards[s];
    const uint64_t off = (piece - p->pieces[s]) * PIECE;
    return io_read_at(p->fds[s], from->path, from->base + off, p->buffers + worker * PIECE,
                      num_min(PIECE, from->bytes - off), e);
}

static err_code write_piece(const probe *p, unsigned worker, uint64_t piece, err *e)
{
    const uint64_t off = piece * PIECE;
    return output_write(p->file, off, p->buffers + worker * PIECE,
                        num_min(PIECE, p->job->out_bytes - off), e);
}

/* Every task reads and writes its share, so that reading and writing overlap. */
static err_code run_task(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const probe *const p = ctx;
    for (uint64_t i = task * p->in / p->tasks; i < (task + 1) * p->in / p->tasks; i++) {
        TRY(read_piece(p, worker, i, e));
    }
    for (uint64_t i = task * p->out / p->tasks; i < (task + 1) * p->out / p->tasks; i++) {
        TRY(write_piece(p, worker, i, e));
    }
    return OK;
}

static err_code open_shards(probe *p, err *e)
{
    for (size_t i = 0; i < p->shards; i++) {
        p->fds[i] = -1;
    }
    for (size_t i = 0; i < p->shards; i++) {
        const shard *const s = &p->job->cp->shards[i];
        TRY(io_open_read(shard_file(s), &p->fds[i], NULL, e));
        p->pieces[i + 1] = p->pieces[i] + num_ceil_div(s->bytes, PIECE);
    }
    return OK;
}

static err_code open_probe(probe *p, err *e)
{
    const uint64_t bytes = p->job->workers * PIECE;
    p->fds = calloc(p->shards + 1, sizeof *p->fds);
    p->pieces = calloc(p->shards + 1, sizeof *p->pieces);
    p->buffers = aligned_alloc(PAGE, bytes);
    if (!p->fds || !p->pieces || !p->buffers) {
        p->shards = 0;
        return err_set(e, ERR_MEMORY, "no memory for %u buffers to measure the disk",
                       p->job->workers);
    }
    memset(p->buffers, 1, bytes);
    TRY(open_shards(p, e));
    p->in = p->pieces[p->shards];
    p->out = num_ceil_div(p->job->out_bytes, PIECE);
    p->tasks = num_max(p->in, p->out);
    if (!p->job->path) {
        return OK;
    }
    TRY(output_open(p->job->path, true, &p->file, e));
    return output_reserve(p->file, p->job->out_bytes, e);
}

static void close_probe(probe *p)
{
    output_abandon(&p->file);
    for (size_t i = 0; i < p->shards; i++) {
        if (p->fds[i] >= 0) {
            close(p->fds[i]);
        }
    }
    free(p->fds);
    free(p->pieces);
    free(p->buffers);
}

err_code probe_run(const probe_job *job, const monitor *m, double *seconds, err *e)
{
    probe p = {.job = job, .shards = job->cp ? job->cp->shard_count : 0};
    err_code code = OK;
    TRY_OUT(open_probe(&p, e));
    const double start = progress_clock();
    TRY_OUT(parallel_for(job->workers, p.tasks, run_task, &p, m, e));
    if (p.file) {
        TRY_OUT(output_sync(p.file, e));
    }
    *seconds = progress_clock() - start;
out:
    close_probe(&p);
    return code;
}

void probe_drop_cache(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fdatasync(fd); /* pages that are not yet on disk cannot be dropped */
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
}
