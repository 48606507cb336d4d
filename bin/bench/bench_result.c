/* Reports measurements, and finds the slowest stage. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/bench/bench.h"

static void print_result(bench_result r, const char *name)
{
    printf("%-38s %8.2f GB/s", name, r.rate / 1e9);
    if (r.limit > 0) {
        printf(", limit %8.2f GB/s (%s), ratio %.2f", r.limit / 1e9, r.limited_by,
               r.rate / r.limit);
    }
    putchar('\n');
    fflush(stdout); /* the next result may take a while; closing the stream reports failures */
}

static void put_result(bench *b, bench_result r, const char *name)
{
    report *const to = b->report;
    json_t *const o = json_object();
    const double none = NAN; /* null */
    report_put(to, o, "name", report_text(name));
    report_put(to, o, "gb_per_s", report_real(r.rate / 1e9));
    report_put(to, o, "limit_gb_per_s", report_real(r.limit > 0 ? r.limit / 1e9 : none));
    report_put(to, o, "limited_by", report_text(r.limit > 0 ? r.limited_by : NULL));
    report_put(to, o, "share_of_limit", report_real(r.limit > 0 ? r.rate / r.limit : none));
    report_append(to, b->measurements, o);
}

void bench_result_add(bench *b, bench_result r, const char *name, ...)
{
    char text[128];
    va_list args;
    va_start(args, name);
    vsnprintf(text, sizeof text, name, args);
    va_end(args);
    if (b->report->json) {
        put_result(b, r, text);
    } else if (report_says(b->report, LEVEL_NORMAL)) {
        print_result(r, text);
    }
}

void bench_stage_add(bench *b, const char *name, double source_rate)
{
    for (unsigned i = 0; i < b->stage_count; i++) {
        if (strcmp(b->stages[i].name, name) == 0) {
            b->stages[i].rate += source_rate;
            return;
        }
    }
    b->stages[b->stage_count++] = (bench_stage){name, source_rate};
}

void bench_stage_without_gpus(bench *b)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < b->stage_count; i++) {
        const bench_stage s = b->stages[i];
        if (strcmp(s.name, "link") != 0 && strcmp(s.name, "kernel") != 0) {
            b->stages[kept++] = s;
        }
    }
    b->stage_count = kept;
    b->link = 0;
    bench_stage_add(b, "CPU engine", b->cpu);
}

const bench_stage *bench_bottleneck(const bench *b)
{
    const bench_stage *slowest = NULL;
    for (unsigned i = 0; i < b->stage_count; i++) {
        if (!slowest || b->stages[i].rate < slowest->rate) {
            slowest = &b->stages[i];
        }
    }
    return slowest;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(const double *values, unsigned count)
{
    double sorted[BENCH_RUNS] = {0};
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

err_code bench_repeat(unsigned runs, bench_run_fn run, void *ctx, double *seconds, err *e)
{
    double each[BENCH_RUNS] = {0};
    for (unsigned i = 0; i < runs; i++) {
        TRY(run(ctx, &each[i], e));
    }
    *seconds = bench_median(each, runs);
    return OK;
}
