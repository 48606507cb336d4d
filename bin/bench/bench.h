/* octavo bench: measures how fast this machine is, and how much of that a conversion achieves.
 *
 *     bench_disk_open(&b, e)
 *     bench_disk(&b, e), bench_memory(&b, e), bench_gpus(&b, e), bench_conversion(&b, e)
 *     bench_bottleneck(&b)->name
 *     bench_disk_close(&b)
 *
 * Speeds are bytes per second, medians of several runs. Every measurement is reported at once by
 * bench_result_add; those of parts of a conversion are also stages (bench_stage), in bytes of
 * source per second, so that finally the slowest stage can be named. Not thread-safe. */
#ifndef BENCH_H
#define BENCH_H

#include "bin/compute/compute.h"
#include "bin/cli/job_options.h"

enum { BENCH_STAGES_MAX = 8, BENCH_RUNS = 5, BENCH_DISK_RUNS = 3 };

typedef struct bench_stage {
    const char *name;
    double rate; /* bytes of source per second */
} bench_stage;

typedef struct bench {
    report *report;
    const monitor *m; /* for notes and cancellation */
    compute_request request;
    compute device;         /* devices of the conversion */
    job_options job;        /* threads and memory, as for convert */
    uint64_t size;          /* approximate size of the checkpoint that is generated */
    const char *checkpoint; /* converted instead; NULL: one is generated */
    const char *dir;        /* on the disk to measure */
    struct bench_files *files;
    unsigned char *pool;                 /* WEIGHTS_POOL_BYTES of random weights */
    uint64_t source_bytes, packed_bytes; /* of the checkpoint and of its packed file */
    double cpu;                          /* CPU engine, all threads: a stage if no GPU computes */
    double link;          /* of all devices together, bytes of source per second; 0: no devices */
    json_t *measurements; /* with --json */
    bench_stage stages[BENCH_STAGES_MAX];
    unsigned stage_count;
} bench;

/* One measurement. */
typedef struct bench_result {
    double rate;
    double limit;           /* 0: no limit */
    const char *limited_by; /* name of the limit */
} bench_result;

/* Report a measurement as text or JSON; `name` is a format. */
void bench_result_add(bench *b, bench_result r, const char *name, ...)
    __attribute__((format(printf, 3, 4)));

/* Add a part of a conversion. Speeds with the same name, such as those of several devices, add
 * up. */
void bench_stage_add(bench *b, const char *name, double source_rate);

/* Bytes of source per byte of the packed file. */
static inline double bench_source_per_packed(const bench *b)
{
    return (double)b->source_bytes / (double)b->packed_bytes;
}

/* Replace the stages of GPUs, which turned out to be unusable, by that of the CPU. */
void bench_stage_without_gpus(bench *b);

/* The slowest stage, NULL if there is none. */
const bench_stage *bench_bottleneck(const bench *b);

/* Runs what is to be measured once; *seconds is how long it took. */
typedef err_code (*bench_run_fn)(void *ctx, double *seconds, err *e);

/* The median of `runs` (at most BENCH_RUNS) runs. */
MUST_CHECK err_code bench_repeat(unsigned runs, bench_run_fn run, void *ctx, double *seconds,
                                 err *e);

/* The median of `count` (at most BENCH_RUNS) numbers. */
double bench_median(const double *values, unsigned count);

/* Create a hidden directory in b->dir, generate a checkpoint in it unless one was given, and plan
 * the conversion; sets b->source_bytes and b->packed_bytes. bench_disk_close removes everything
 * again and must be called even after a failure. Errors: ERR_IO, ERR_MEMORY, ERR_CANCELLED, and
 * those of convert_prepare. */
MUST_CHECK err_code bench_disk_open(bench *b, err *e);
void bench_disk_close(bench *b);

/* The parts, in the order in which they are measured; each reports its results. */
MUST_CHECK err_code bench_disk(bench *b, err *e);
MUST_CHECK err_code bench_memory(bench *b, err *e);
MUST_CHECK err_code bench_gpus(bench *b, err *e);
MUST_CHECK err_code bench_conversion(bench *b, err *e);

/* *rate: bytes of source per second through the slots of an engine, from memory to memory, with
 * about `bytes` bytes in each run. */
MUST_CHECK err_code bench_engine(bench *b, engine *g, uint64_t bytes, double *rate, err *e);

#endif
