/* How fast the bit-exact matrix product of the forward pass is, compared with OpenBLAS, which may
 * sum in any order and gets its weights as float32.
 *
 *     bench_matmul [ROUNDS]      default 5; 1 for a quick look
 *
 * Prints GFLOP/s, medians of ROUNDS rounds. Sides and shapes take turns, each measurement in a
 * separate process (OpenBLAS's threads spin), with one thread for each processor. The time of
 * octavo's product includes packing, widening and dequantizing. Expected with two threads: a ratio
 * of at least 0.9. OpenBLAS is loaded if it is installed, and chooses its kernels itself. */
#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "format/tensor/float_bits.h"
#include "format/tensor/e4m3.h"
#include "verify/ops/ops_cpu.h"

enum { MAX_ROUNDS = 50, MAX_RUNS = 1000, WARM_UP = 2 };

#define MEASURE_SECONDS 0.15
#define WANTED_RATIO    0.9

typedef struct shape {
    size_t tokens, cols, rows; /* T, K, N */
} shape;

/* Layers of Ring-mini, its experts, and a quarter of its head. */
static const shape shapes[] = {{256, 2048, 6144}, {256, 2048, 2048}, {512, 512, 2048},
                               {32, 2048, 512},   {8, 2048, 512},    {1536, 384, 1152},
                               {256, 2048, 39296}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

enum { SIDE_BLAS, SIDE_BF16, SIDE_E4M3, SIDE_FP8, SIDES };
static const char *const side_names[SIDES] = {"OpenBLAS", "BF16", "E4M3", "FP8"};

/* Inputs and outputs of all sides. */
typedef struct data {
    float *x, *w, *scales, *y;
    uint16_t *bf16;
    uint8_t *codes;
} data;

/* The result of a measuring process. */
typedef struct answer {
    double gflops; /* 0: no OpenBLAS */
    char core[32];
} answer;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, compare_numbers);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* Pages that processes share after fork, filled with zeros. */
static void *shared_new(size_t bytes)
{
    void *const p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool data_make(data *d)
{
    size_t x = 0;
    size_t w = 0;
    size_t y = 0;
    for (int i = 0; i < SHAPES; i++) {
        x = num_max(x, shapes[i].tokens * shapes[i].cols);
        w = num_max(w, shapes[i].cols * shapes[i].rows);
        y = num_max(y, shapes[i].tokens * shapes[i].rows);
    }
    *d = (data){.x = malloc(x * sizeof(float)),
                .w = malloc(w * sizeof(float)),
                .scales = malloc(w / 128 * sizeof(float)),
                .y = malloc(y * sizeof(float)),
                .bf16 = malloc(w * sizeof(uint16_t)),
                .codes = malloc(w)};
    if (!d->x || !d->w || !d->scales || !d->y || !d->bf16 || !d->codes) {
        return false;
    }
    uint32_t random = 1;
    for (size_t i = 0; i < x; i++) {
        random = random * 1664525 + 1013904223;
        d->x[i] = (float)(int32_t)random * 0x1p-31f;
    }
    for (size_t i = 0; i < w; i++) {
        random = random * 1664525 + 1013904223;
        const float value = (float)(int32_t)random * 0x1p-36f;
        d->bf16[i] = (uint16_t)(float_bits(value) >> 16);
        d->codes[i] = e4m3_encode(value * 0x1p13f);
        d->w[i] = value;
    }
    for (size_t i = 0; i < w / 128; i++) {
        d->scales[i] = 0x1p-13f;
    }
    return true;
}

/* Pin each thread of this process to a different processor: the scheduler may leave two on one. */
static void pin_threads(void)
{
    cpu_set_t all;
    DIR *const tasks = opendir("/proc/self/task");
    if (!tasks || sched_getaffinity(0, sizeof all, &all) != 0) {
        return;
    }
    int cpu = -1;
    for (const struct dirent *d = readdir(tasks); d; d = readdir(tasks)) {
        const long id = strtol(d->d_name, NULL, 10);
        if (id > 0) {
            do {
                cpu = (cpu + 1) % CPU_SETSIZE;
            } while (!CPU_ISSET((size_t)cpu, &all));
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET((size_t)cpu, &one);
            (void)sched_setaffinity((pid_t)id, sizeof one, &one); /* a failure only adds noise */
        }
    }
    closedir(tasks);
}

/* ---- one measurement ------------------------------------------- */

typedef struct runner {
    void (*run)(const struct runner *r);
    const shape *s;
    const data *d;
    void (*gemm)(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                 float *, int);
    ops *o;
    weight w;
    bool fp8;
} runner;

static void run_blas(const runner *r)
{
    enum { ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112 };
    const int t = (int)r->s->tokens;
    const int k = (int)r->s->cols;
    const int n = (int)r->s->rows;
    r->gemm(ROW_MAJOR, AS_IS, TRANSPOSED, t, n, k, 1, r->d->x, k, r->d->w, k, 0, r->d->y, n);
}

static void run_ours(const runner *r)
{
    const shape *const s = r->s;
    const mat x = {r->d->x, s->tokens, s->cols, s->cols};
    const mat y = {r->d->y, s->tokens, s->rows, s->rows};
    r->o->matmul(r->o, x, &r->w, NULL, r->fp8, y);
}

static double measure(const runner *r)
{
    static double times[MAX_RUNS];
    for (int i = 0; i < WARM_UP; i++) {
        r->run(r);
    }
    size_t n = 0;
    for (const double start = seconds(); n < MAX_RUNS && seconds() < start + MEASURE_SECONDS; n++) {
        const double before = seconds();
        r->run(r);
        times[n] = seconds() - before;
    }
    return 2e-9 * (double)r->s->tokens * (double)r->s->cols * (double)r->s->rows / median(times, n);
}

static void measure_blas(runner *r, unsigned threads, answer *a)
{
    char text[16];
    snprintf(text, sizeof text, "%u", threads);
    if (unsetenv("OPENBLAS_CORETYPE") || unsetenv("OPENBLAS_L2_SIZE") ||
        setenv("OPENBLAS_NUM_THREADS", text, 1)) {
        return;
    }
    void *const library = dlopen("libopenblas.so.0", RTLD_NOW);
    if (!library) {
        return;
    }
    char *(*core_name)(void) = NULL;
    *(void **)&r->gemm = dlsym(library, "cblas_sgemm");
    *(void **)&core_name = dlsym(library, "openblas_get_corename");
    if (r->gemm) {
        pin_threads();
        r->run = run_blas;
        snprintf(a->core, sizeof a->core, "%s", core_name ? core_name() : "unknown");
        a->gflops = measure(r);
    }
}

static void measure_ours(runner *r, int side, unsigned threads, answer *a)
{
    err e = {0};
    if (ops_cpu_create(threads, &r->o, &e) != OK) {
        fprintf(stderr, "bench_matmul: %s\n", e.text);
        return;
    }
    const bool quantized = side != SIDE_BF16;
    r->w = (weight){.type = quantized ? DTYPE_F8_E4M3 : DTYPE_BF16,
                    .rows = r->s->rows,
                    .cols = r->s->cols,
                    .data = quantized ? (void *)r->d->codes : (void *)r->d->bf16,
                    .scales = quantized ? r->d->scales : NULL,
                    .block = block_fp8(SCALES_F32)};
    r->fp8 = side == SIDE_FP8;
    r->run = run_ours;
    pin_threads();
    a->gflops = measure(r);
    r->o->destroy(r->o);
}

/* Measure in a separate process. False if that failed. */
static bool measure_apart(const data *d, const shape *s, int side, unsigned threads, answer *a)
{
    *a = (answer){.gflops = 0};
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        runner r = {.s = s, .d = d};
        if (side == SIDE_BLAS) {
            measure_blas(&r, threads, a);
        } else {
            measure_ours(&r, side, threads, a);
        }
        _exit(0);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* ---- the table ------------------------------------------------- */

typedef struct results {
    double ratios[SHAPES * SIDES];
    size_t count;
} results;

static bool bench_shape(const data *d, const shape *s, unsigned threads, int rounds, bool blas,
                        answer *shared, results *r)
{
    double speed[SIDES][MAX_ROUNDS];
    double middle[SIDES] = {0};
    for (int round = 0; round < rounds; round++) {
        for (int side = blas ? SIDE_BLAS : SIDE_BF16; side < SIDES; side++) {
            if (!measure_apart(d, s, side, threads, shared)) {
                return false;
            }
            speed[side][round] = shared->gflops;
        }
    }
    for (int side = blas ? SIDE_BLAS : SIDE_BF16; side < SIDES; side++) {
        middle[side] = median(speed[side], (size_t)rounds);
    }
    printf("%5zu %5zu %6zu  %7u", s->tokens, s->cols, s->rows, threads);
    for (int side = SIDE_BF16; side < SIDES; side++) {
        printf("  %5.0f", middle[side]);
        if (blas) {
            const double ratio = middle[side] / middle[SIDE_BLAS];
            printf(" %5.2f%s", ratio, ratio < WANTED_RATIO && side != SIDE_FP8 ? "!" : " ");
            if (side != SIDE_FP8) {
                r->ratios[r->count++] = ratio;
            }
        }
    }
    printf(blas ? "  %8.0f\n" : "\n", middle[SIDE_BLAS]);
    return true;
}

static bool bench_threads(const data *d, unsigned threads, int rounds, bool blas, answer *shared)
{
    results r = {.count = 0};
    for (int i = 0; i < SHAPES; i++) {
        if (!bench_shape(d, &shapes[i], threads, rounds, blas, shared, &r)) {
            return false;
        }
    }
    if (blas) {
        const double middle = median(r.ratios, r.count);
        printf("%u thread%s: median ratio %.2f, lowest %.2f, expected %.1f\n", threads,
               threads == 1 ? "" : "s", middle, r.ratios[0], WANTED_RATIO);
    }
    return true;
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 5;
    data d;
    answer *const shared = shared_new(sizeof *shared);
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: bench_matmul [ROUNDS]   1 ... %d\n", MAX_ROUNDS);
        return 2;
    }
    if (!shared || !data_make(&d)) {
        fprintf(stderr, "bench_matmul: no memory\n");
        return 1;
    }
    if (!measure_apart(&d, &shapes[4], SIDE_BLAS, 1, shared)) {
        fprintf(stderr, "bench_matmul: a measurement failed\n");
        return 1;
    }
    const bool blas = shared->gflops > 0;
    printf("matrix product, GFLOP/s, by weights (FP8: and activations), ! where it is slow\n");
    if (blas) {
        printf("OpenBLAS: float32 weights, its core type is %s\n", shared->core);
    } else {
        printf("OpenBLAS: not installed; apt-get install libopenblas0-pthread\n");
    }
    printf("    T     K      N  threads");
    for (int side = SIDE_BF16; side < SIDES; side++) {
        printf("   %4s%s", side_names[side], blas ? " ratio" : "");
    }
    printf("%s\n", blas ? "  OpenBLAS" : "");
    const unsigned processors = parallel_processors();
    bool ok = bench_threads(&d, 1, (int)rounds, blas, shared);
    ok = ok && (processors == 1 || bench_threads(&d, 2, (int)rounds, blas, shared));
    return ok ? 0 : 1;
}
