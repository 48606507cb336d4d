/* The golden vectors, spec/vectors/dialects.safetensors (spec/quant.md section 7.7): what other
 * tools made of small matrices on a GPU, against the kernel at every level of this processor and
 * against the check of verify. TESTDATA: tests/data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/checkpoint/checkpoint.h"
#include "format/base/num.h"
#include "quant/engine/tile_kernel.h"
#include "tests/aid/expect.h"
#include "verify/rule/code_check.h"

static checkpoint *vectors;

static void setup(void)
{
    char path[512];
    err e = {0};
    snprintf(path, sizeof path, "%s/../../spec/vectors/dialects.safetensors", getenv("TESTDATA"));
    expect_ok(checkpoint_open(path, NULL, &vectors, &e), &e);
}

static void teardown(void)
{
    checkpoint_close(vectors);
}

/* A tensor with its bytes, which are for the caller to free. */
static const tensor *load(const char *name, void **bytes)
{
    err e = {0};
    const tensor *const t = checkpoint_find(vectors, name);
    ck_assert_msg(t != NULL, "no tensor %s", name);
    *bytes = malloc(t->bytes);
    ck_assert_ptr_nonnull(*bytes);
    expect_ok(checkpoint_read(vectors, t, 0, *bytes, t->bytes, &e), &e);
    return t;
}

/* A matrix and what it has to become. */
typedef struct vector {
    char name[128]; /* dialect.scales.dtype.case */
    engine_job job;
    unsigned char *in, *codes;
    float *scales;
    uint64_t tiles;
} vector;

static void vector_open(vector *v, pack_dialect d, scale_format kind, dtype source,
                        const char *which)
{
    char name[160];
    void *in = NULL, *codes = NULL, *scales = NULL;
    snprintf(v->name, sizeof v->name, "%s.%s.%s.%s", dialect_name(d), scale_format_name(kind),
             dtype_name(source), which);
    snprintf(name, sizeof name, "input.%s.%s", dtype_name(source), which);
    const tensor *const t = load(name, &in);
    snprintf(name, sizeof name, "%s.codes", v->name);
    ck_assert_uint_eq(load(name, &codes)->bytes, t->shape[0] * t->shape[1]);
    snprintf(name, sizeof name, "%s.scales", v->name);
    const tensor *const s = load(name, &scales);
    v->job = (engine_job){.source = source,
                          .block = block_fp8(kind),
                          .dialect = d,
                          .rows = t->shape[0],
                          .cols = t->shape[1]};
    v->in = in;
    v->codes = codes;
    v->scales = scales;
    v->tiles = engine_job_tiles(&v->job);
    ck_assert_uint_eq(s->bytes, v->tiles * sizeof(float));
}

static void vector_close(vector *v)
{
    free(v->in);
    free(v->codes);
    free(v->scales);
}

static void try_kernels(const vector *v)
{
    engine_job job = v->job;
    unsigned char *const codes = malloc(job.rows * job.cols);
    tile_scratch *const scratch = aligned_alloc(64, sizeof *scratch);
    job.tile_scales = calloc(v->tiles, sizeof *job.tile_scales);
    job.stats = calloc(v->tiles, sizeof *job.stats);
    ck_assert(codes && scratch && job.tile_scales && job.stats);
    for (cpu_level level = CPU_BASELINE; level < CPU_LEVELS; level++) {
        if (!cpu_level_available(level)) {
            continue;
        }
        tile_kernel_at(level)->quantize(&job, v->in, codes, 0, v->tiles, scratch);
        for (uint64_t i = 0; i < v->tiles; i++) {
            ck_assert_msg(memcmp(&job.tile_scales[i], &v->scales[i], sizeof(float)) == 0,
                          "%s, %s: scale %zu is %a, expected %a", v->name, cpu_level_name(level),
                          (size_t)i, (double)job.tile_scales[i], (double)v->scales[i]);
        }
        for (uint64_t i = 0; i < job.rows * job.cols; i++) {
            ck_assert_msg(codes[i] == v->codes[i], "%s, %s: code %zu is %02x, expected %02x",
                          v->name, cpu_level_name(level), (size_t)i, codes[i], v->codes[i]);
        }
    }
    free(codes);
    free(scratch);
    free(job.tile_scales);
    free(job.stats);
}

static void try_check(const vector *v)
{
    code_rules rules;
    err e = {0};
    expect_ok(code_rules_create(&rules, &e), &e);
    const size_t each = dtype_bits(v->job.source) / 8;
    for (uint64_t i = 0; i < v->tiles; i++) {
        const tile_view t = {.source = v->in + i * TILE * each,
                             .codes = v->codes + i * TILE,
                             .type = v->job.source,
                             .pitch = v->job.cols,
                             .rows = (unsigned)v->job.rows,
                             .cols = (unsigned)num_min(v->job.cols - i * TILE, TILE),
                             .scale = v->scales[i],
                             .scales = v->job.block.scale,
                             .dialect = v->job.dialect};
        tile_verdict verdict;
        tile_check(&rules, &t, &verdict);
        ck_assert_msg(verdict.scale_right && verdict.wrong_codes == 0,
                      "%s, tile %zu: the check finds %u wrong codes, scale %a", v->name, (size_t)i,
                      verdict.wrong_codes, (double)verdict.scale);
    }
    code_rules_free(&rules);
}

START_TEST(results)
{
    static const dtype sources[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    static const char *const cases[] = {"corners", "normal", "student"};
    const pack_dialect d = (pack_dialect)_i;
    for (int i = 0; i < 2 * COUNT(sources) * COUNT(cases); i++) {
        const scale_format kind = i % 2 ? SCALES_UE8M0 : SCALES_F32;
        const dtype source = sources[i / 2 % COUNT(sources)];
        if (dialect_lacks(d, source, kind)) {
            continue;
        }
        vector v;
        vector_open(&v, d, kind, source, cases[i / 2 / COUNT(sources)]);
        try_kernels(&v);
        try_check(&v);
        vector_close(&v);
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("vectors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, results, DIALECT_DEEPGEMM, DIALECT_COUNT);
    return run_tests("vectors", tc);
}
