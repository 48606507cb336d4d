/* How close whole jobs come to the limits of the machine: a conversion is compared with reading its
 * source while writing as many bytes as it writes, a verification with a plain read. Both sides are
 * measured in one run, since disks of shared machines change by the minute; prints medians of the
 * repetitions.
 *
 *     bench_job CHECKPOINT DIR [REPETITIONS]
 *
 * A packed file and a probe file are written to DIR and removed again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bin/bench/bench_probe.h"
#include "convert/stream/convert.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "quant/engine/engine_cpu.h"
#include "verify/integrity/integrity.h"

enum { MAX_REPETITIONS = 32, PIECE = 2 << 20 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(err_code code, const err *e)
{
    if (code != OK) {
        fprintf(stderr, "bench_job: %s\n", e->text);
        exit(1);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, unsigned count)
{
    double sorted[MAX_REPETITIONS] = {0};
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* ---- the jobs -------------------------------------------------- */

/* Read and write the same bytes without computing anything. */
static double run_probe(const convert_job *job, const char *path)
{
    err e = {0};
    double seconds = 0;
    const probe_job probe = {.cp = job->cp,
                             .path = path,
                             .out_bytes = job->plan.file_bytes,
                             .workers = job->slots.count};
    must(probe_run(&probe, NULL, &seconds, &e), &e);
    return seconds;
}

static double run_convert(convert_job *job)
{
    err e = {0};
    engine *g = NULL;
    convert_report report;
    must(engine_cpu_open(job->options.threads, job->slots.count, job->slots.in_bytes,
                         job->slots.out_bytes, &g, &e),
         &e);
    must(convert_run(job, g, NULL, &report, &e), &e);
    engine_close(g);
    return report.seconds;
}

static double run_plain_read(const char *path)
{
    err e = {0};
    int fd = -1;
    struct stat st;
    unsigned char *const buffer = aligned_alloc(4096, PIECE);
    must(io_open_read(path, &fd, &st, &e), &e);
    const double start = now();
    for (uint64_t off = 0; off < (uint64_t)st.st_size; off += PIECE) {
        must(io_read_at(fd, path, off, buffer, num_min(PIECE, (uint64_t)st.st_size - off), &e), &e);
    }
    const double seconds = now() - start;
    close(fd);
    free(buffer);
    return seconds;
}

static double run_verify(const char *path, unsigned threads)
{
    err e = {0};
    int fd = -1;
    integrity_report report;
    const integrity_options options = {.threads = threads, .memory = 512 * MIB};
    must(io_open_read(path, &fd, NULL, &e), &e);
    const double start = now();
    must(integrity_check(fd, path, &options, NULL, &report, &e), &e);
    const double seconds = now() - start;
    if (report.count > 0) {
        fprintf(stderr, "bench_job: %s: %s\n", report.damages[0].place, report.damages[0].what);
        exit(1);
    }
    integrity_report_free(&report);
    close(fd);
    return seconds;
}

static void print_ratio(const char *what, const double *limit, const double *measured,
                        unsigned count, uint64_t bytes)
{
    double ratios[MAX_REPETITIONS] = {0};
    for (unsigned i = 0; i < count; i++) {
        ratios[i] = limit[i] / measured[i];
    }
    printf("%-28s %6.2f GB/s, limit %6.2f GB/s, ratio %.2f\n", what,
           (double)bytes / median(measured, count) / 1e9,
           (double)bytes / median(limit, count) / 1e9, median(ratios, count));
}

static void bench_convert(convert_job *job, const char *probe_path, bool cold, unsigned repetitions)
{
    double limit[MAX_REPETITIONS] = {0};
    double measured[MAX_REPETITIONS] = {0};
    for (unsigned i = 0; i < 2 * repetitions; i++) {
        for (size_t s = 0; cold && s < job->cp->shard_count; s++) {
            probe_drop_cache(job->cp->shards[s].path);
        }
        /* Alternate which side is first: how fast a disk is depends on what it did just before. */
        if ((i + i / 2) % 2 == 0) {
            limit[i / 2] = run_probe(job, probe_path);
        } else {
            measured[i / 2] = run_convert(job);
        }
    }
    print_ratio(cold ? "convert, source not cached" : "convert, source cached", limit, measured,
                repetitions, job->plan.source_bytes);
}

static void bench_verify(const char *path, uint64_t bytes, bool cold, unsigned threads,
                         unsigned repetitions)
{
    double limit[MAX_REPETITIONS] = {0};
    double measured[MAX_REPETITIONS] = {0};
    for (unsigned i = 0; i < 2 * repetitions; i++) {
        if (cold) {
            probe_drop_cache(path);
        }
        if ((i + i / 2) % 2 == 0) {
            limit[i / 2] = run_plain_read(path);
        } else {
            measured[i / 2] = run_verify(path, threads);
        }
    }
    print_ratio(cold ? "verify, file not cached" : "verify, file cached", limit, measured,
                repetitions, bytes);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_job CHECKPOINT DIR [REPETITIONS]\n");
        return 2;
    }
    const unsigned wanted = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 5;
    const unsigned repetitions = wanted < 1 || wanted > MAX_REPETITIONS ? 5 : wanted;
    err e = {0};
    convert_job job;
    recipe rules = {0};
    char *const packed = io_join(argv[2], "bench.octavo");
    char *const probe_path = io_join(argv[2], "probe.bin");
    const convert_options options = {
        .source = argv[1],
        .output = packed,
        .recipe = &rules,
        .digest = DIGEST_XXH3,
        .force = true,
        .threads = parallel_processors(),
        .memory = 512 * MIB,
    };
    must(convert_prepare(&options, NULL, &job, &e), &e);
    const unsigned threads = options.threads;
    printf("%.2f GB of source, %.2f GB packed, %u threads\n", (double)job.plan.source_bytes / 1e9,
           (double)job.plan.file_bytes / 1e9, threads);
    bench_convert(&job, probe_path, true, repetitions);
    bench_convert(&job, probe_path, false, repetitions);
    bench_verify(packed, job.plan.file_bytes, true, threads, repetitions);
    bench_verify(packed, job.plan.file_bytes, false, threads, repetitions);
    unlink(packed);
    convert_close(&job);
    free(packed);
    free(probe_path);
    return 0;
}
