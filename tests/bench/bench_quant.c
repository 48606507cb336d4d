/* How fast the CPU engine quantizes: GB/s (10^9 bytes) of BF16 input for each core, from memory to
 * memory, with statistics and the search for NaNs; at every instruction level of this processor,
 * with one thread and with one for each processor.
 *
 *     bench_quant [MIB]      MIB of BF16 input, default 512: far more than any cache
 *
 * Prints the median, the slowest and the fastest of RUNS runs. Expected on one core: at least 3
 * GB/s with v4 (AVX-512), 2 GB/s with v3 (AVX2). */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bin/bench/bench_data.h"
#include "format/base/cpu_level.h"
#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "quant/engine/engine_cpu.h"

enum { RUNS = 7 };

typedef struct shape {
    const char *name;
    uint64_t rows, cols;
} shape;

static const shape shapes[] = {{"4096 x 4096", 4096, 4096},
                               {"experts 512 x 2048", 512, 2048},
                               {"experts 2048 x 512", 2048, 512}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Jobs of one shape that fill the slot. */
typedef struct load {
    engine_job *jobs;
    size_t count;
    float *scales;
    tile_stats *stats;
} load;

static void load_free(load *l)
{
    free(l->jobs);
    free(l->scales);
    free(l->stats);
}

static bool load_make(load *l, const shape *s, size_t bytes)
{
    const uint64_t elements = s->rows * s->cols;
    const uint64_t tiles = elements / (TILE * TILE);
    l->count = bytes / (2 * elements);
    l->jobs = calloc(l->count, sizeof *l->jobs);
    l->scales = calloc(l->count * tiles, sizeof *l->scales);
    l->stats = calloc(l->count * tiles, sizeof *l->stats);
    if (!l->jobs || !l->scales || !l->stats) {
        load_free(l);
        return false;
    }
    for (size_t i = 0; i < l->count; i++) {
        l->jobs[i] = (engine_job){.source = DTYPE_BF16,
                                  .block = block_fp8(SCALES_F32),
                                  .rows = s->rows,
                                  .cols = s->cols,
                                  .in_off = i * 2 * elements,
                                  .out_off = i * elements,
                                  .tile_scales = l->scales + i * tiles,
                                  .stats = l->stats + i * tiles};
    }
    return true;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare_times(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool measure(engine *g, const load *l, double times[RUNS], err *e)
{
    for (int run = -1; run < RUNS; run++) { /* run -1 is not counted: it touches the pages */
        const double start = seconds();
        if (engine_submit(g, g->slots, l->jobs, l->count, e) != OK ||
            engine_wait(g, g->slots, e) != OK) {
            return false;
        }
        if (run >= 0) {
            times[run] = seconds() - start;
        }
    }
    qsort(times, RUNS, sizeof *times, compare_times);
    return true;
}

static bool bench_shape(engine *g, cpu_level level, unsigned threads, const shape *s, err *e)
{
    load l = {0};
    if (!load_make(&l, s, g->in_bytes)) {
        return err_set(e, ERR_MEMORY, "no memory"), false;
    }
    double times[RUNS];
    const bool ok = measure(g, &l, times, e);
    if (ok) {
        const double bytes = 2e-9 * (double)(l.count * s->rows * s->cols);
        const double median = bytes / times[RUNS / 2];
        printf("%-8s  %7u  %-18s  %8.2f  %8.2f  %8.2f ... %.2f\n", cpu_level_name(level), threads,
               s->name, median / threads, median, bytes / times[RUNS - 1], bytes / times[0]);
    }
    load_free(&l);
    return ok;
}

/* Measure one level with one number of threads. */
static bool bench_engine(cpu_level level, unsigned threads, size_t bytes, err *e)
{
    engine *g = NULL;
    if (setenv("OCTAVO_CPU", cpu_level_name(level), 1) != 0) {
        return err_set(e, ERR_MEMORY, "no memory"), false;
    }
    if (engine_cpu_open(threads, 1, bytes, bytes / 2, &g, e) != OK) {
        return false;
    }
    weights_fill(g->slots->in, bytes);
    bool ok = true;
    for (int i = 0; i < SHAPES && ok; i++) {
        ok = bench_shape(g, level, threads, &shapes[i], e);
    }
    engine_close(g);
    return ok;
}

int main(int argc, char **argv)
{
    const unsigned long mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 512;
    const unsigned processors = parallel_processors();
    if (mib < 32) {
        fprintf(stderr, "usage: bench_quant [MIB]   at least 32\n");
        return 2;
    }
    err e = {0};
    printf("CPU engine, GB/s of BF16 input, %lu MiB, statistics included\n", mib);
    printf("level     threads  shape                 a core   overall   slowest ... fastest\n");
    for (cpu_level level = CPU_LEVELS; level-- > CPU_BASELINE;) {
        if (!cpu_level_available(level)) {
            continue;
        }
        bool ok = bench_engine(level, 1, mib * MIB, &e);
        ok = ok && (processors == 1 || bench_engine(level, processors, mib * MIB, &e));
        if (!ok) {
            fprintf(stderr, "bench_quant: %s\n", e.text);
            return 1;
        }
    }
    return 0;
}
