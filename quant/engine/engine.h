/* The engine: where tiles become codes. It is the interface between the conversion job and the
 * device that computes.
 *
 * An engine owns a fixed number of slots. A slot has a host input buffer and a host output buffer
 * (pinned for a GPU, page-aligned always). Each slot is driven by one thread:
 *
 *     fill slot->in with rows of source tensors
 *     engine_submit(g, slot, jobs, n, e)     what to do with them; returns at once
 *     engine_wait(g, slot, e)                codes, scales and statistics are in place
 *     write slot->out
 *
 * A submit or wait that fails (ERR_GPU) leaves the input as it was, and the engine writes no more
 * into the slot or the results of the jobs; a submit that fails needs no wait.
 * Slots are independent: while one thread waits, others read and write. Results are bit for bit
 * those of spec/quant.md on every engine, whatever the number of slots and threads. */
#ifndef ENGINE_H
#define ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "format/tensor/block.h"
#include "format/tensor/dialect_id.h"
#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/base/num.h"
#include "quant/tile/tile.h"

/* Consecutive rows of tiles of one matrix: rows x cols elements, row-major, without gaps.
 * tiles_down = block_down(block, rows), tiles_across = block_across(block, cols); rows is a multiple
 * of block.rows unless the matrix ends here. */
typedef struct engine_job {
    dtype source;         /* BF16, F16 or F32 */
    block_format block;   /* block_fp8(f32 or ue8m0): there are kernels for no other tiles */
    pack_dialect dialect; /* DIALECT_NONE is the same as DIALECT_IEEE */
    uint64_t rows, cols;  /* > 0 */
    size_t in_off;        /* bytes into slot->in, aligned to the element; rows * cols elements */
    size_t out_off;       /* bytes into slot->out: rows * cols codes */
    float *tile_scales;   /* out: [tiles_down, tiles_across], host memory of the caller */
    tile_stats *stats;    /* out: [tiles_down, tiles_across], host memory of the caller */
} engine_job;

static inline uint64_t engine_job_tiles(const engine_job *job)
{
    return block_count(job->block, job->rows, job->cols);
}

typedef struct engine_slot {
    unsigned char *in, *out; /* owned by the engine */
    void *priv;
} engine_slot;

typedef struct engine engine;

typedef struct engine_ops {
    const char *name; /* "cpu", "cuda" */
    err_code (*submit)(engine *g, engine_slot *slot, const engine_job *jobs, size_t count, err *e);
    err_code (*wait)(engine *g, engine_slot *slot, err *e);
    void (*close)(engine *g);
} engine_ops;

/* The first member of every engine. `jobs` of a submit must stay valid until wait returns. */
struct engine {
    const engine_ops *ops;
    engine_slot *slots;
    unsigned slot_count;
    size_t in_bytes, out_bytes; /* of each slot */
    uint64_t device_bytes;      /* memory that it holds on all devices together */
};

/* Besides its buffers an engine takes no more host memory than a few pages for each slot, and for
 * each slot this many bytes for each tile of the largest submit. */
enum { ENGINE_TILE_BYTES = 68 };

static inline err_code engine_submit(engine *g, engine_slot *s, const engine_job *jobs, size_t n,
                                     err *e)
{
    return g->ops->submit(g, s, jobs, n, e);
}

static inline err_code engine_wait(engine *g, engine_slot *s, err *e)
{
    return g->ops->wait(g, s, e);
}

/* Stops its threads and frees slots and engine; NULL is fine. */
static inline void engine_close(engine *g)
{
    if (g) {
        g->ops->close(g);
    }
}

#endif
