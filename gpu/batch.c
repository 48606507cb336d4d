#include "gpu/batch.h"

#include <string.h>

#include "format/num.h"

static size_t part_bytes(size_t count, size_t size)
{
    return num_ceil_div(count * size, BATCH_ALIGN) * BATCH_ALIGN;
}

size_t gpu_batch_tables_bytes(size_t jobs, size_t tiles)
{
    return part_bytes(jobs, sizeof(gpu_matrix)) + part_bytes(tiles, sizeof(uint32_t));
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

void gpu_batch_write_tables(const gpu_batch *b, unsigned char *in)
{
    unsigned char *const tables = in - gpu_batch_tables_bytes(b->job_count, b->tile_count);
    unsigned char *const tiles = in - part_bytes(b->tile_count, sizeof(uint32_t));
    uint32_t tile = 0;
    for (uint32_t i = 0; i < b->job_count; i++) {
        const engine_job *const job = &b->jobs[i];
        const gpu_matrix m = {.in_off = job->in_off,
                              .out_off = job->out_off,
                              .rows = (uint32_t)job->rows,
                              .cols = (uint32_t)job->cols,
                              .across = (uint32_t)num_ceil_div(job->cols, TILE),
                              .first_tile = tile};
        memcpy(tables + i * sizeof m, &m, sizeof m);
        for (const uint32_t end = tile + (uint32_t)engine_job_tiles(job); tile < end; tile++) {
            memcpy(tiles + tile * sizeof i, &i, sizeof i);
        }
    }
}

gpu_launch gpu_batch_launch(const gpu_batch *b, unsigned char *in, unsigned char *out)
{
    const size_t tables = gpu_batch_tables_bytes(b->job_count, b->tile_count);
    const size_t tiles = part_bytes(b->tile_count, sizeof(uint32_t));
    const size_t stats = part_bytes(b->tile_count, sizeof(tile_stats));
    return (gpu_launch){
        .in = in,
        .out = out,
        .matrices = (const gpu_matrix *)(const void *)(in - tables),
        .tile_matrix = (const uint32_t *)(const void *)(in - tiles),
        .scales = (float *)(void *)(out - gpu_batch_results_bytes(b->tile_count)),
        .stats = (tile_stats *)(void *)(out - stats),
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
