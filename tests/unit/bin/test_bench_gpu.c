/* octavo bench with a fake GPU: this program has its own gpu/. Tests what bench does when the GPU
 * fails, and that it leaves no file behind. */
#include <check.h>
#include <jansson.h>
#include <string.h>

#include "bin/cmd.h"
#include "gpu/device/device.h"
#include "gpu/quantize/engine_cuda.h"
#include "gpu/quantize/measure_gpu.h"
#include "tests/aid/expect.h"
#include "tests/aid/faulty_engine.h"
#include "tests/aid/scratch.h"

/* ---- the GPU --------------------------------------------------- */

static struct {
    unsigned count;                   /* of devices */
    unsigned no_link;                 /* a bit for each device whose link fails */
    bool works;                       /* the engine can be opened */
    uint64_t budget;                  /* of the last measurement */
    unsigned links, kernels, engines; /* number of measurements */
} gpu;

const char *device_runtime(void)
{
    return "13.0";
}

err_code device_find_all(device_list *out, err *e)
{
    (void)e;
    *out = (device_list){.count = gpu.count};
    for (unsigned i = 0; i < gpu.count; i++) {
        out->devices[i] =
            (device_info){.index = i, .name = "Dream 9000", .major = 9, .usable = true};
    }
    return OK;
}

err_code measure_link(unsigned device, uint64_t budget, link_speed *out, err *e)
{
    gpu.budget = budget;
    gpu.links++;
    *out = (link_speed){.in = 4, .out = 4, .both_in = 2, .both_out = 1}; /* slower than any disk */
    return gpu.no_link >> device & 1 ? err_set(e, ERR_GPU, "the link is cut") : OK;
}

err_code measure_kernel(unsigned device, uint64_t budget, const kernel_case *c, kernel_speed *out,
                        err *e)
{
    (void)device, (void)c, (void)e;
    ck_assert_uint_eq(budget, gpu.budget);
    gpu.kernels++;
    *out = (kernel_speed){.bytes = 1, .seconds = 1e9, .copy_seconds = 1e9, .copy_bandwidth = 1e-9};
    return OK;
}

err_code engine_cuda_open(const engine_cuda_options *o, engine **out, unsigned *failed, err *e)
{
    gpu.engines++;
    *failed = o->device_count;
    if (gpu.works) {
        faulty_engine *const f = faulty_open(o->slots, o->in_bytes, o->out_bytes);
        f->plan.idle = o->device_count == 1; /* the amount is large, and nobody reads the results */
        *out = &f->base;
        return OK;
    }
    return err_set(e, ERR_MEMORY, "nothing to be had");
}

/* ---- the command ----------------------------------------------- */

/* `memory`: value of --gpu-memory; NULL: not given. */
static err_code run_bench_within(const char *memory, const char *device, report *r, err *e)
{
    const char *arguments[] = {"bench", "--size", "1",         "--threads",    "1",   "--device",
                               device,  "--json", scratch(""), "--gpu-memory", memory};
    report_start(r, COMMAND_BENCH, true);
    return cmd_bench.run(COUNT(arguments) - (memory ? 0 : 2), (char **)arguments, r, e);
}

static err_code run_bench(const char *device, report *r, err *e)
{
    return run_bench_within(NULL, device, r, e);
}

static void start(void)
{
    scratch_make();
    memset(&gpu, 0, sizeof gpu);
    gpu.count = 1;
}

/* The last file is gone if the directory can be removed, which scratch_remove does only here. */
static void expect_empty(void)
{
    ck_assert_int_eq(rmdir(scratch_dir), 0);
    ck_assert_int_eq(mkdir(scratch_dir, 0700), 0);
}

/* If the link fails or the engine cannot be opened, the CPU computes, and is a stage. */
START_TEST(auto_falls_back_to_the_cpu)
{
    report r;
    err e = {0};
    gpu.no_link = (unsigned)_i;
    expect_ok(run_bench("auto", &r, &e), &e);
    const json_t *const stages = json_object_get(r.root, "stage_gb_per_s");
    ck_assert_ptr_nonnull(json_object_get(stages, "CPU engine"));
    ck_assert_uint_eq(json_object_size(stages), 4);
    ck_assert_ptr_null(json_object_get(stages, "link"));
    ck_assert_str_eq(json_string_value(json_object_get(r.root, "device")), "cpu");
    ck_assert_uint_eq(gpu.links, 1);
    ck_assert_uint_eq(gpu.engines, _i ? 0 : 1);
    expect_empty();
    json_decref(r.root);
}
END_TEST

/* The other devices are measured, and compute. */
START_TEST(one_is_left_out)
{
    report r;
    err e = {0};
    gpu.count = 3;
    gpu.no_link = 1U << 1;
    gpu.works = true;
    expect_ok(run_bench(_i ? "auto" : "cuda", &r, &e), &e);
    const json_t *const stages = json_object_get(r.root, "stage_gb_per_s");
    ck_assert_double_eq(json_real_value(json_object_get(stages, "link")), 2 * 2 / 1e9);
    ck_assert_ptr_nonnull(json_object_get(stages, "kernel"));
    ck_assert_ptr_null(json_object_get(stages, "CPU engine"));
    ck_assert_str_eq(json_string_value(json_object_get(r.root, "device")), "cuda:0,2");
    ck_assert_uint_eq(gpu.links, 3);
    expect_empty();
    json_decref(r.root);
    expect_error(run_bench("cuda:0,1", &r, &e), ERR_GPU, &e, "the link is cut");
    json_decref(r.root);
}
END_TEST

/* --gpu-memory, if given, also limits the measurement of kernels. */
START_TEST(memory_is_limited)
{
    report r;
    err e = {0};
    gpu.works = true;
    gpu.count = 2;
    expect_ok(run_bench("cuda", &r, &e), &e);
    ck_assert_uint_gt(gpu.kernels, 0);
    ck_assert(gpu.budget == UINT64_MAX);
    json_decref(r.root);
    expect_ok(run_bench_within("64M", "cuda", &r, &e), &e);
    ck_assert_uint_eq(gpu.budget, 64 << 20);
    json_decref(r.root);
}
END_TEST

START_TEST(failure_of_a_requested_gpu_is_an_error)
{
    report r;
    err e = {0};
    gpu.no_link = 1;
    expect_error(run_bench("cuda", &r, &e), ERR_GPU, &e, "the link is cut");
    json_decref(r.root);
    gpu.no_link = 0;
    expect_error(run_bench("cuda:0", &r, &e), ERR_MEMORY, &e, "nothing to be had");
    ck_assert_uint_gt(gpu.kernels, 0);
    expect_empty();
    json_decref(r.root);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("bench_gpu");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, start, scratch_remove);
    tcase_add_loop_test(tc, auto_falls_back_to_the_cpu, 0, 2);
    tcase_add_loop_test(tc, one_is_left_out, 0, 2);
    tcase_add_test(tc, memory_is_limited);
    tcase_add_test(tc, failure_of_a_requested_gpu_is_an_error);
    return run_tests("bench_gpu", tc);
}
