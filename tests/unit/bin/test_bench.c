/* The parts of octavo bench: medians, the slowest stage, a checkpoint of random weights, and the
 * measurement of a disk. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/bench/bench.h"
#include "bin/bench/bench_data.h"
#include "bin/bench/bench_probe.h"
#include "format/base/num.h"
#include "quant/recipe/recipe.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

START_TEST(median_is_the_middle)
{
    ck_assert(bench_median((const double[]){3}, 1) == 3);
    ck_assert(bench_median((const double[]){3, 1}, 2) == 2);
    ck_assert(bench_median((const double[]){9, 1, 2}, 3) == 2);
    ck_assert(bench_median((const double[]){5, 4, 1, 2, 3}, 5) == 3);
}
END_TEST

static err_code count_down(void *ctx, double *seconds, err *e)
{
    int *const left = ctx;
    *seconds = --*left;
    return *left >= 0 ? OK : err_set(e, ERR_IO, "no more");
}

START_TEST(runs_are_repeated)
{
    err e = {0};
    int left = 3;
    double seconds = 9;
    expect_ok(bench_repeat(3, count_down, &left, &seconds, &e), &e);
    ck_assert(seconds == 1);
    left = 2;
    expect_error(bench_repeat(BENCH_RUNS, count_down, &left, &seconds, &e), ERR_IO, &e, "no more");
    ck_assert_int_eq(left, -1);
}
END_TEST

START_TEST(slowest_stage_is_named)
{
    bench b = {0};
    ck_assert_ptr_null(bench_bottleneck(&b));
    bench_stage_add(&b, "disk", 3);
    bench_stage_add(&b, "link", 2);
    bench_stage_add(&b, "kernel", 9);
    ck_assert_str_eq(bench_bottleneck(&b)->name, "link");
    bench_stage_add(&b, "link", 2); /* a second device */
    ck_assert_str_eq(bench_bottleneck(&b)->name, "disk");
    ck_assert_uint_eq(b.stage_count, 3);
}
END_TEST

/* ---- the checkpoint -------------------------------------------- */

static checkpoint *weights(uint64_t bytes)
{
    err e = {0};
    checkpoint *cp = NULL;
    unsigned char *const pool = weights_pool();
    ck_assert_ptr_nonnull(pool);
    expect_ok(weights_write(scratch("w.safetensors"), bytes, pool, 2, NULL, &e), &e);
    expect_ok(checkpoint_open(scratch("w.safetensors"), NULL, &cp, &e), &e);
    free(pool);
    return cp;
}

/* As large as was asked for, and all of it to be quantized. */
START_TEST(weights_are_a_checkpoint)
{
    err e = {0};
    checkpoint *const cp = weights(50 * MIB);
    uint64_t bytes = 0;
    for (size_t i = 0; i < cp->tensor_count; i++) {
        const tensor *const t = &cp->tensors[i];
        decision d;
        const recipe_tensor asked = {
            .name = t->name, .type = t->type, .shape = t->shape, .ndim = t->ndim};
        expect_ok(recipe_decide(&(recipe){0}, &asked, NULL, &d, &e), &e);
        ck_assert_msg(d.action == ACTION_QUANTIZE, "%s", t->name);
        bytes += t->bytes;
    }
    ck_assert_uint_eq(bytes, 50 * MIB);
    ck_assert_ptr_nonnull(checkpoint_find(cp, "model.layers.0.self_attn.o_proj.weight"));
    const tensor *const last = checkpoint_find(cp, "model.layers.0.mlp.experts.2.down_proj.weight");
    ck_assert_ptr_nonnull(last);
    ck_assert_uint_eq(last->shape[0], 2048);
    ck_assert_uint_eq(last->shape[1], 512);
    checkpoint_close(cp);
}
END_TEST

START_TEST(weights_are_finite)
{
    enum { BYTES = 1 << 20 };
    static unsigned char data[BYTES];
    double sum = 0;
    weights_fill(data, BYTES);
    for (size_t i = 0; i < BYTES; i += 2) {
        const uint32_t bits = (uint32_t)le16_load(data + i) << 16;
        float x = 0;
        memcpy(&x, &bits, sizeof x);
        ck_assert(x > -0.2F && x < 0.2F);
        sum += (double)x * (double)x;
    }
    const double variance = 2 * sum / BYTES;
    ck_assert(variance > 0.0003 && variance < 0.0005); /* 0.02 squared */
}
END_TEST

/* ---- the probe ------------------------------------------------- */

START_TEST(probe_reads_and_writes)
{
    err e = {0};
    checkpoint *const cp = weights(1);
    ck_assert_uint_eq(cp->tensor_count, 1);
    const probe_job jobs[] = {
        {.cp = cp, .workers = 1},
        {.path = scratch("probe"), .out_bytes = 5 * MIB + 1, .workers = 3},
        {.cp = cp, .path = scratch("probe"), .out_bytes = 5 * MIB + 1, .workers = 2},
        {.cp = cp, .path = scratch("probe"), .out_bytes = 33 * MIB, .workers = 2},
    };
    for (int i = 0; i < COUNT(jobs); i++) {
        double seconds = 0;
        expect_ok(probe_run(&jobs[i], NULL, &seconds, &e), &e);
        ck_assert(seconds > 0);
        ck_assert_int_ne(access(scratch("probe"), F_OK), 0);
    }
    probe_drop_cache(scratch("w.safetensors"));
    ck_assert_int_eq(unlink(scratch("w.safetensors")), 0);
    double seconds = 0;
    expect_error(probe_run(&jobs[0], NULL, &seconds, &e), ERR_IO, &e, "w.safetensors");
    const probe_job nowhere = {.path = scratch("none/probe"), .out_bytes = 1, .workers = 1};
    expect_error(probe_run(&nowhere, NULL, &seconds, &e), ERR_IO, &e, "none");
    checkpoint_close(cp);
}
END_TEST

static bool yes(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(probe_can_be_stopped)
{
    err e = {0};
    double seconds = 0;
    const monitor m = {.cancelled = yes};
    const probe_job job = {.path = scratch("probe"), .out_bytes = 9 * MIB, .workers = 2};
    ck_assert_int_eq(probe_run(&job, &m, &seconds, &e), ERR_CANCELLED);
    ck_assert_int_ne(access(scratch(".probe.part"), F_OK), 0);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("bench");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, median_is_the_middle);
    tcase_add_test(tc, runs_are_repeated);
    tcase_add_test(tc, slowest_stage_is_named);
    tcase_add_test(tc, weights_are_a_checkpoint);
    tcase_add_test(tc, weights_are_finite);
    tcase_add_test(tc, probe_reads_and_writes);
    tcase_add_test(tc, probe_can_be_stopped);
    return run_tests("bench", tc);
}
