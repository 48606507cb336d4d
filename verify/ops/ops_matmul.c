/* Matrix products in two runs of the thread pool: pack x, then multiply block by block. Blocks of
 * rows of w are as even as micro-tiles allow, and so many that no thread waits long for the last.
 * */
#include "format/base/num.h"
#include "verify/ops/ops_state.h"

/* At least this many blocks for each thread, if there are enough rows. */
enum { BLOCKS_PER_THREAD = 4 };

typedef struct matmul_run {
    const matmul_kernel *kernel;
    matmul_job job;
    size_t slices, panels;
    size_t units, blocks; /* micro-tiles in the rows of w; blocks into which they are divided */
    size_t chunk_panels;
    float *work;
    size_t work_pitch;
} matmul_run;

static void pack_task(void *ctx, unsigned worker, size_t task)
{
    const matmul_run *const r = ctx;
    (void)worker;
    r->kernel->pack(&r->job, task / r->slices, task % r->slices);
}

/* Consecutive tasks use the same block of w, which stays in the cache. */
static void multiply_task(void *ctx, unsigned worker, size_t task)
{
    const matmul_run *const r = ctx;
    const size_t chunks = num_ceil_div(r->panels, r->chunk_panels);
    const size_t block = task / chunks;
    const size_t panel = task % chunks * r->chunk_panels;
    const size_t first = block * r->units / r->blocks * r->kernel->rows;
    const size_t end = (block + 1) * r->units / r->blocks * r->kernel->rows;
    const matmul_block b = {.row = first,
                            .rows = num_min(end, r->job.w->rows) - first,
                            .panel = panel,
                            .panels = num_min(r->chunk_panels, r->panels - panel)};
    r->kernel->multiply(&r->job, &b, r->work + worker * r->work_pitch);
}

/* A multiple of the number of threads, so that even blocks keep all of them equally busy. */
static size_t count_blocks(size_t units, size_t most_units, size_t threads)
{
    size_t blocks = num_ceil_div(units, most_units);
    if (threads > 1) {
        const size_t enough = BLOCKS_PER_THREAD * threads;
        blocks = blocks > enough ? blocks : enough;
        blocks = num_ceil_div(blocks, threads) * threads;
    }
    return num_min(blocks, units);
}

void ops_matmul(ops *o, mat x, const weight *w, const weight *bias, bool fp8, mat y)
{
    ops_state *const s = ops_state_of(o);
    if (ops_failed(s) || x.rows == 0 || w->rows == 0) {
        return;
    }
    const matmul_kernel *const k = s->matmul;
    matmul_run r = {.kernel = k,
                    .job = {.x = x, .y = y, .w = w, .fp8 = fp8 && w->scales},
                    .slices = num_ceil_div(w->cols, MATMUL_SLICE),
                    .panels = num_ceil_div(x.rows, k->width),
                    .units = num_ceil_div(w->rows, k->rows),
                    .chunk_panels = MATMUL_TOKENS / k->width};
    r.blocks = count_blocks(r.units, MATMUL_ROWS / k->rows, s->threads);
    const size_t tokens = matmul_padded(x.rows, k->width);
    const size_t scales = r.job.fp8 ? tokens * num_ceil_div(w->cols, TILE) : 0;
    r.job.panels = ops_common_space(s, tokens * w->cols + scales);
    r.job.scales = r.job.panels ? r.job.panels + tokens * w->cols : NULL;
    r.work = ops_own_space(s, matmul_work_floats(k, x.rows), &r.work_pitch);
    if (!r.job.panels || !r.work) {
        return;
    }
    thread_pool_run(s->pool, r.panels * r.slices, pack_task, &r);
    thread_pool_run(s->pool, r.blocks * num_ceil_div(r.panels, r.chunk_panels), multiply_task, &r);
    if (bias) {
        ops_rows_add_bias(s, y, bias);
    }
}
