#include "gpu/quantize/batch.h"

#include <string.h>

#include "format/base/num.h"

_Static_assert(sizeof(gpu_tile) + sizeof(float) + sizeof(tile_stats) <= ENGINE_TILE_BYTES,
               "more host memory than engine.h promises");

static size_t part_bytes(size_t count, size_t size)
{
    return num_ceil_div(count * size, BATCH_ALIGN) * BATCH_ALIGN;
}

size_t gpu_batch_table_bytes(size_t tiles)
{
    return part_bytes(tiles, sizeof(gpu_tile));
}

size_t gpu_batch_results_bytes(size_t tiles)
{
    return part_bytes(tiles, sizeof(float)) + part_bytes(tiles, sizeof(tile_stats));
}

gpu_batch gpu_batch_of(const engine_job *jobs, size_t count)
{
    gpu_batch b = {.jobs = jobs, .job_count = count};
    for (size_t i = 0; i < count; i++) {
        const uint64_t elements = jobs[i].rows * jobs[i].cols;
        const size_t in_end = jobs[i].in_off + elements * (dtype_bits(jobs[i].source) / 8);
        b.tile_count += engine_job_tiles(&jobs[i]);
        b.in_bytes = num_max(b.in_bytes, in_end);
        b.out_bytes = num_max(b.out_bytes, jobs[i].out_off + elements);
    }
    return b;
}

/* Write the tiles of a job, row by row; returns where those of the next job begin. */
static unsigned char *write_tiles(const engine_job *job, unsigned char *to)
{
    const size_t element = dtype_bits(job->source) / 8;
    for (uint64_t row = 0; row < job->rows; row += job->block.rows) {
        for (uint64_t col = 0; col < job->cols; col += job->block.cols) {
            const uint64_t first = row * job->cols + col;
            const gpu_tile t = {.in_off = job->in_off + first * element,
                                .out_off = job->out_off + first,
                                .pitch = (uint32_t)job->cols,
                                .rows = (uint16_t)num_min(job->rows - row, job->block.rows),
                                .cols = (uint16_t)num_min(job->cols - col, job->block.cols)};
            memcpy(to, &t, sizeof t);
            to += sizeof t;
        }
    }
    return to;
}

void gpu_batch_write_table(const gpu_batch *b, unsigned char *in)
{
    unsigned char *to = in - gpu_batch_table_bytes(b->tile_count);
    for (size_t i = 0; i < b->job_count; i++) {
        to = write_tiles(&b->jobs[i], to);
    }
}

gpu_launch gpu_batch_launch(const gpu_batch *b, unsigned char *in, unsigned char *out)
{
    const size_t tables = gpu_batch_table_bytes(b->tile_count);
    const size_t stats = part_bytes(b->tile_count, sizeof(tile_stats));
    return (gpu_launch){
        .in = in,
        .out = out,
        .tiles = (const gpu_tile *)(const void *)(in - tables),
        .scales = (float *)(void *)(out - gpu_batch_results_bytes(b->tile_count)),
        .stats = (tile_stats *)(void *)(out - stats),
        .end = (uint32_t)b->tile_count,
    };
}

void gpu_batch_read_results(const gpu_batch *b, const unsigned char *out)
{
    const unsigned char *scales = out - gpu_batch_results_bytes(b->tile_count);
    const unsigned char *stats = out - part_bytes(b->tile_count, sizeof(tile_stats));
    for (size_t i = 0; i < b->job_count; i++) {
        const engine_job *const job = &b->jobs[i];
        const size_t tiles = engine_job_tiles(job);
        memcpy(job->tile_scales, scales, tiles * sizeof *job->tile_scales);
        memcpy(job->stats, stats, tiles * sizeof *job->stats);
        scales += tiles * sizeof *job->tile_scales;
        stats += tiles * sizeof *job->stats;
    }
}
