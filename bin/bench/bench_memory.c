/* The speed of the processor and its memory: copies, digests, the CPU engine. */
#include <stdlib.h>
#include <string.h>

#include "bin/bench/bench.h"
#include "bin/bench/bench_data.h"
#include "bin/cli/progress.h"
#include "format/base/digest.h"
#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "quant/engine/engine_cpu.h"

#define BUFFER_BYTES (256 * MIB) /* larger than most caches */
#define PIECE_BYTES  (2 * MIB)   /* about the size of a chunk */

/* ---- copies and digests ---------------------------------------- */

typedef struct memory_run {
    const bench *b;
    unsigned char *from, *to;
    uint64_t pieces;
    unsigned threads;
    parallel_fn task;
} memory_run;

static err_code copy_piece(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const memory_run *const r = ctx;
    (void)worker;
    (void)e;
    memcpy(r->to + task * PIECE_BYTES, r->from + task * PIECE_BYTES, PIECE_BYTES);
    return OK;
}

static err_code digest_piece(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const memory_run *const r = ctx;
    (void)worker;
    (void)e;
    digest_xxh3(r->from + task * PIECE_BYTES, PIECE_BYTES, r->to + task * XXH3_BYTES);
    return OK;
}

static err_code run_pieces(void *ctx, double *seconds, err *e)
{
    const memory_run *const r = ctx;
    const double start = progress_clock();
    const err_code code = parallel_for(r->threads, r->pieces, r->task, ctx, r->b->m, e);
    *seconds = progress_clock() - start;
    return code;
}

/* Measure with one thread, then with all threads; *rate is the latter. */
static err_code measure_threads(bench *b, memory_run *r, const char *name, double *rate, err *e)
{
    double seconds = 0;
    const double bytes = (double)(r->pieces * PIECE_BYTES);
    r->threads = 1;
    TRY(bench_repeat(BENCH_RUNS, run_pieces, r, &seconds, e));
    const double one = bytes / seconds;
    *rate = one;
    bench_result_add(b, (bench_result){.rate = one}, "%s, 1 thread", name);
    if (b->job.threads > 1) {
        r->threads = b->job.threads;
        TRY(bench_repeat(BENCH_RUNS, run_pieces, r, &seconds, e));
        *rate = bytes / seconds;
        bench_result_add(b, (bench_result){*rate, one * b->job.threads, "threads x one thread"},
                         "%s, %u threads", name, b->job.threads);
    }
    return OK;
}

static err_code measure_buffers(bench *b, memory_run *r, err *e)
{
    double rate = 0;
    r->task = copy_piece;
    TRY(measure_threads(b, r, "host copy", &rate, e));
    r->task = digest_piece;
    TRY(measure_threads(b, r, "XXH3", &rate, e));
    /* Every byte of the source is digested, and every byte of the packed file. */
    bench_stage_add(b, "digest", rate / (1 + 1 / bench_source_per_packed(b)));
    return OK;
}

static err_code measure_memory(bench *b, err *e)
{
    const uint64_t bytes = num_max(num_min(b->size, BUFFER_BYTES) / PIECE_BYTES, 4) * PIECE_BYTES;
    unsigned char *const from = malloc(bytes);
    unsigned char *const to = malloc(bytes);
    err_code code = OK;
    TRY_OUT(from && to ? OK : err_set(e, ERR_MEMORY, "no memory for two buffers"));
    memset(from, 1, bytes); /* so that every page is mapped */
    memset(to, 2, bytes);
    memory_run r = {.b = b, .from = from, .to = to, .pieces = bytes / PIECE_BYTES};
    TRY_OUT(measure_buffers(b, &r, e));
out:
    free(from);
    free(to);
    return code;
}

/* ---- engines --------------------------------------------------- */

enum { JOB_ROWS = 512, JOB_COLS = 2048, JOB_TILES = JOB_ROWS / TILE * (JOB_COLS / TILE) };
#define JOB_CODES ((uint64_t)JOB_ROWS * JOB_COLS)

/* Every slot gets the same jobs again and again; each slot has its own scales and statistics to
 * write to. */
typedef struct engine_run {
    bench *b;
    engine *g;
    size_t jobs_each; /* jobs per slot */
    uint64_t submits;
    engine_job *jobs; /* [slots, jobs_each] */
    float *scales;    /* [slots, jobs_each, JOB_TILES] */
    tile_stats *stats;
} engine_run;

static err_code submit_once(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const engine_run *const r = ctx;
    engine_slot *const slot = &r->g->slots[worker];
    (void)task;
    TRY(engine_submit(r->g, slot, r->jobs + worker * r->jobs_each, r->jobs_each, e));
    return engine_wait(r->g, slot, e);
}

static err_code run_submits(void *ctx, double *seconds, err *e)
{
    const engine_run *const r = ctx;
    const double start = progress_clock();
    const err_code code = parallel_for(r->g->slot_count, r->submits, submit_once, ctx, r->b->m, e);
    *seconds = progress_clock() - start;
    return code;
}

static err_code prepare_run(engine_run *r, err *e)
{
    const size_t all = r->g->slot_count * r->jobs_each;
    r->jobs = calloc(all, sizeof *r->jobs);
    r->scales = calloc(all * JOB_TILES, sizeof *r->scales);
    r->stats = calloc(all * JOB_TILES, sizeof *r->stats);
    if (!r->jobs || !r->scales || !r->stats) {
        return err_set(e, ERR_MEMORY, "no memory for the jobs of an engine");
    }
    for (size_t i = 0; i < all; i++) {
        const size_t within = i % r->jobs_each;
        r->jobs[i] = (engine_job){.source = DTYPE_BF16,
                                  .block = block_fp8(SCALES_F32),
                                  .rows = JOB_ROWS,
                                  .cols = JOB_COLS,
                                  .in_off = within * 2 * JOB_CODES,
                                  .out_off = within * JOB_CODES,
                                  .tile_scales = r->scales + i * JOB_TILES,
                                  .stats = r->stats + i * JOB_TILES};
        memcpy(r->g->slots[i / r->jobs_each].in + r->jobs[i].in_off, r->b->pool, 2 * JOB_CODES);
    }
    return OK;
}

err_code bench_engine(bench *b, engine *g, uint64_t bytes, double *rate, err *e)
{
    engine_run r = {.b = b, .g = g, .jobs_each = g->out_bytes / JOB_CODES};
    const uint64_t submit_bytes = r.jobs_each * 2 * JOB_CODES;
    double seconds = 0;
    r.submits = num_max(bytes / submit_bytes, 2 * (uint64_t)g->slot_count);
    err_code code = OK;
    TRY_OUT(prepare_run(&r, e));
    TRY_OUT(bench_repeat(BENCH_RUNS, run_submits, &r, &seconds, e));
    *rate = (double)(r.submits * submit_bytes) / seconds;
out:
    free(r.jobs);
    free(r.scales);
    free(r.stats);
    return code;
}

static err_code measure_cpu(bench *b, unsigned threads, double *rate, err *e)
{
    enum { AHEAD = 2, JOBS = 2 };
    const uint64_t most = b->job.memory / (JOBS * 3 * JOB_CODES);
    const unsigned slots = (unsigned)num_max(1, num_min(threads + AHEAD, most));
    engine *g = NULL;
    TRY(engine_cpu_open(threads, slots, JOBS * 2 * JOB_CODES, JOBS * JOB_CODES, &g, e));
    const err_code code = bench_engine(b, g, num_min(b->size, BUFFER_BYTES), rate, e);
    engine_close(g);
    return code;
}

err_code bench_memory(bench *b, err *e)
{
    double one = 0;
    TRY(measure_memory(b, e));
    TRY(measure_cpu(b, 1, &one, e));
    bench_result_add(b, (bench_result){.rate = one}, "CPU engine, 1 thread");
    b->cpu = one;
    if (b->job.threads > 1) {
        TRY(measure_cpu(b, b->job.threads, &b->cpu, e));
        bench_result_add(b, (bench_result){b->cpu, one * b->job.threads, "threads x one thread"},
                         "CPU engine, %u threads", b->job.threads);
    }
    return OK;
}
