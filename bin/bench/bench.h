/* octavo bench: what this machine can do, and how much of it a conversion gets.
 *
 * Speeds are bytes a second, medians of several runs. Every measurement is told at once, by
 * bench_tell; those that a conversion is made of are also stages (bench_stage), in bytes of source
 * a second, so that the slowest of them can be named in the end. */
#ifndef BENCH_H
#define BENCH_H

#include "bin/compute/compute.h"
#include "bin/cli/job_options.h"

enum { BENCH_STAGES_MAX = 8, BENCH_RUNS = 5, BENCH_DISK_RUNS = 3 };

typedef struct bench_stage {
    const char *name;
    double rate; /* bytes of source a second */
} bench_stage;

typedef struct bench {
    report *report;
    const monitor *m; /* passes on notes and the wish to stop */
    compute_request request;
    compute device;         /* what was found for the conversion */
    job_options job;        /* threads and memory, as convert has them */
    uint64_t size;          /* of the checkpoint that is made, about */
    const char *checkpoint; /* or what is converted instead; NULL: one is made */
    const char *dir;        /* where the disk is measured */
    struct bench_files *files;
    unsigned char *pool;                 /* weights: WEIGHTS_POOL_BYTES */
    uint64_t source_bytes, packed_bytes; /* of the checkpoint and what it becomes */
    double cpu;                          /* engine, all threads: a stage where no GPU computes */
    double link;          /* of all devices together, bytes of source a second; 0: there is none */
    json_t *measurements; /* with --json */
    bench_stage stages[BENCH_STAGES_MAX];
    unsigned stage_count;
} bench;

/* One measurement. */
typedef struct bench_result {
    double rate;
    double limit;           /* 0: there is none */
    const char *limited_by; /* what the limit is */
} bench_result;

/* Print or keep a measurement; `name` is a format. */
void bench_tell(bench *b, bench_result r, const char *name, ...)
    __attribute__((format(printf, 3, 4)));

/* A part of a conversion; speeds of one name add up, as those of devices do. */
void bench_stage_add(bench *b, const char *name, double source_rate);

/* Bytes of source for each byte of a packed file. */
static inline double bench_in_for_out(const bench *b)
{
    return (double)b->source_bytes / (double)b->packed_bytes;
}

/* The CPU takes the place of GPUs that cannot be used. */
void bench_stage_without_gpus(bench *b);

/* The slowest stage, NULL if there is none. */
const bench_stage *bench_bottleneck(const bench *b);

/* One run of something: how long it took. */
typedef err_code (*bench_run_fn)(void *ctx, double *seconds, err *e);

/* The median of `runs` (at most BENCH_RUNS) runs. */
MUST_CHECK err_code bench_repeat(unsigned runs, bench_run_fn run, void *ctx, double *seconds,
                                 err *e);

/* The middle of `count` (at most BENCH_RUNS) numbers. */
double bench_median(const double *values, unsigned count);

/* A hidden directory below b->dir, with a checkpoint in it unless there is one, and the plan of the
 * conversion; sets b->source_bytes and b->packed_bytes. Close in every case: it removes all that it
 * made. */
MUST_CHECK err_code bench_disk_open(bench *b, err *e);
void bench_disk_close(bench *b);

/* Parts, in the order in which they are measured; each tells what it finds. */
MUST_CHECK err_code bench_disk(bench *b, err *e);
MUST_CHECK err_code bench_memory(bench *b, err *e);
MUST_CHECK err_code bench_gpus(bench *b, err *e);
MUST_CHECK err_code bench_conversion(bench *b, err *e);

/* *rate: bytes of source a second through the slots of an engine, memory to memory, about `bytes`
 * of them in a run. */
MUST_CHECK err_code bench_engine(bench *b, engine *g, uint64_t bytes, double *rate, err *e);

#endif
