/* How fast the ideal of a packed file is computed, compared with the check of its weights, which
 * judges the same codes: GB/s (10^9 bytes) of source. Both sides take turns in one run.
 *
 *     bench_ideal CHECKPOINT PACKED [REPETITIONS]
 *
 * Prints medians, with one thread and with one for each processor. Expected: at least half the
 * speed of the check. Read the files before, or the first repetition measures the disk. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "verify/forward/ideal.h"
#include "verify/weights/weights.h"

enum { MAX_REPETITIONS = 32 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(err_code code, const err *e)
{
    if (code != OK) {
        fprintf(stderr, "bench_ideal: %s\n", e->text);
        exit(1);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* GB/s of the check. */
static double check(const store *source, const store *packed, unsigned threads)
{
    const weights_options o = {.threads = threads, .memory = GIB};
    weights_report found;
    err e = {0};
    const double start = now();
    must(weights_check(packed->packed, source->source, &o, NULL, &found, &e), &e);
    const double seconds = now() - start;
    if (found.wrong_tensors > 0) {
        fprintf(stderr, "bench_ideal: %s does not come from %s\n", packed->path, source->path);
        exit(1);
    }
    weights_report_free(&found);
    return 1e-9 * (double)store_bytes(source) / seconds;
}

static double read_ideal(const store *source, const store *packed, unsigned threads)
{
    ideal *d = NULL;
    err e = {0};
    uint64_t bytes = 0;
    const double start = now();
    must(ideal_open(source, packed, threads, NULL, &d, &e), &e);
    for (size_t i = 0; i < packed->count; i++) {
        const store_tensor *const t = &packed->tensors[i];
        const store_tensor *const s = store_find(source, t->name);
        if (!t->quantized || t->ndim != 2 || !s) {
            continue;
        }
        unsigned char *const codes = malloc(t->rows * t->row_bytes);
        float *const scales = malloc(store_scale_count(t, t->rows) * sizeof(float));
        if (!codes || !scales) {
            must(err_set(&e, ERR_MEMORY, "no memory for %s", t->name), &e);
        }
        must(ideal_read(d, t, 0, t->rows, codes, scales, &e), &e);
        bytes += s->rows * s->row_bytes;
        free(codes);
        free(scales);
    }
    ideal_close(d);
    return 1e-9 * (double)bytes / (now() - start);
}

static void compare(const store *source, const store *packed, unsigned threads, unsigned count)
{
    double checks[MAX_REPETITIONS];
    double ideals[MAX_REPETITIONS];
    for (unsigned i = 0; i < count; i++) {
        checks[i] = check(source, packed, threads);
        ideals[i] = read_ideal(source, packed, threads);
    }
    const double c = median(checks, count);
    const double d = median(ideals, count);
    printf("%u threads: check of weights %.2f GB/s, ideal file %.2f GB/s, ratio %.2f\n", threads, c,
           d, d / c);
}

int main(int argc, char **argv)
{
    const unsigned long count = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
    if (argc < 3 || argc > 4 || count < 1 || count > MAX_REPETITIONS) {
        fprintf(stderr, "usage: bench_ideal CHECKPOINT PACKED [REPETITIONS]   at most %d\n",
                MAX_REPETITIONS);
        return 2;
    }
    store *source = NULL;
    store *packed = NULL;
    err e = {0};
    must(store_open(argv[1], NULL, &source, &e), &e);
    must(store_open(argv[2], NULL, &packed, &e), &e);
    compare(source, packed, 1, (unsigned)count);
    if (parallel_processors() > 1) {
        compare(source, packed, parallel_processors(), (unsigned)count);
    }
    store_close(source);
    store_close(packed);
    return 0;
}
