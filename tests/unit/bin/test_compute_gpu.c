/* bin/compute with fake GPUs: this program has its own gpu/, whose engine is that of
 * faulty_engine.h. Tests which devices are found, opened, checked and replaced by the CPU, and the
 * notes about it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/compute/compute.h"
#include "gpu/quantize/engine_cuda.h"
#include "tests/aid/expect.h"
#include "tests/aid/faulty_engine.h"

/* ---- the GPUs -------------------------------------------------- */

static struct {
    unsigned count, usable; /* number of devices, of which the first `usable` are usable */
    unsigned refused;       /* a bit for each number that cannot be opened */
    bool refuses_all;       /* for a reason that concerns no device */
    unsigned openings;
    faulty_plan plan;
    engine_cuda_options options; /* of the last opening */
    unsigned numbers[DEVICE_MAX];
} gpus;

const char *device_runtime(void)
{
    return "13.0";
}

err_code device_find_all(device_list *out, err *e)
{
    *out = (device_list){.count = gpus.count};
    for (unsigned i = 0; i < gpus.count; i++) {
        out->devices[i] =
            (device_info){.index = i, .name = "Dream 9000", .major = 9, .usable = i < gpus.usable};
    }
    return gpus.count > 0 ? OK : err_set(e, ERR_GPU, "there is no driver");
}

err_code engine_cuda_open(const engine_cuda_options *o, engine **out, unsigned *failed, err *e)
{
    gpus.openings++;
    if (gpus.refuses_all) {
        *failed = o->device_count;
        return err_set(e, ERR_MEMORY, "cannot pin memory");
    }
    for (unsigned i = 0; i < o->device_count; i++) {
        if (gpus.refused >> o->devices[i] & 1) {
            *failed = i;
            return err_set(e, ERR_GPU, "GPU %u: out of memory", o->devices[i]);
        }
    }
    gpus.options = *o;
    memcpy(gpus.numbers, o->devices, o->device_count * sizeof *o->devices);
    faulty_engine *const f = faulty_open(o->slots, o->in_bytes, o->out_bytes);
    f->plan = gpus.plan;
    f->base.device_bytes = 12345;
    *out = &f->base;
    return OK;
}

/* ---- one run --------------------------------------------------- */

enum { ROWS = 256, COLS = 128, TILES = 2 };

static const convert_slots slots = {
    .count = 2, .in_bytes = 2 * ROWS * COLS, .out_bytes = ROWS * COLS, .max_tiles = 70};
static err e;
static compute_request request;
static compute c;
static char noted[512]; /* each followed by a line break */

static void keep_note(void *ctx, const char *text)
{
    const size_t used = strlen(noted);
    (void)ctx;
    snprintf(noted + used, sizeof noted - used, "%s\n", text);
}

static const monitor watching = {.note = keep_note};

static void reset(void)
{
    memset(&gpus, 0, sizeof gpus);
    gpus.count = gpus.usable = 2;
    gpus.plan.code = ERR_GPU;
    e = (err){0};
    request = COMPUTE_DEFAULT;
    c = (compute){0};
    noted[0] = '\0';
}

static err_code find_and_open(const char *word)
{
    expect_ok(compute_parse(word, &request, &e), &e);
    const err_code code = compute_find(&request, &watching, &c, &e);
    return code == OK ? compute_open(&c, &request, &slots, 1, &watching, &e) : code;
}

/* A matrix of zeros through the first slot. */
static err_code work(void)
{
    float scales[TILES];
    tile_stats stats[TILES];
    engine_slot *const slot = &c.engine->slots[0];
    const engine_job job = {.source = DTYPE_BF16,
                            .block = block_fp8(SCALES_F32),
                            .rows = ROWS,
                            .cols = COLS,
                            .tile_scales = scales,
                            .stats = stats};
    memset(slot->in, 0, slots.in_bytes);
    const err_code code = engine_submit(c.engine, slot, &job, 1, &e);
    return code == OK ? engine_wait(c.engine, slot, &e) : code;
}

START_TEST(gpus_compute)
{
    char text[64];
    request.check_share = 1;
    request.gpu_memory = 77;
    expect_ok(find_and_open("auto"), &e);
    ck_assert_uint_eq(gpus.options.device_count, 2);
    ck_assert_uint_eq(gpus.numbers[1], 1);
    ck_assert_uint_eq(gpus.options.slots, 2);
    ck_assert_uint_eq(gpus.options.max_tiles, 70);
    ck_assert_uint_eq(gpus.options.gpu_memory, 77);
    ck_assert_uint_eq(c.device_bytes, 12345);
    expect_ok(work(), &e);
    compute_close(&c, &watching);
    ck_assert_uint_eq(c.checked_tiles, TILES);
    ck_assert_str_eq(c.failure, "");
    ck_assert_str_eq(noted, "");
    ck_assert_str_eq(compute_word(&c, text, sizeof text), "cuda:0,1");
    ck_assert_str_eq(compute_name(&c, text, sizeof text), "2 x Dream 9000");
}
END_TEST

START_TEST(numbers_choose)
{
    char text[64];
    request.check_share = 0;
    expect_ok(find_and_open("cuda:1"), &e);
    ck_assert_uint_eq(gpus.options.device_count, 1);
    ck_assert_uint_eq(gpus.numbers[0], 1);
    expect_ok(work(), &e);
    compute_close(&c, &watching);
    ck_assert_uint_eq(c.checked_tiles, 0);
    ck_assert_str_eq(compute_word(&c, text, sizeof text), "cuda:1");
    expect_error(find_and_open("cuda:2"), ERR_GPU, &e, "no CUDA device 2");
    gpus.usable = 1;
    expect_error(find_and_open("cuda:1"), ERR_GPU, &e, "no code for compute capability 9.0");
}
END_TEST

START_TEST(auto_falls_back_to_the_cpu)
{
    gpus.count = (unsigned)_i % 2; /* none, or one that is not usable */
    gpus.usable = 0;
    request.explain = true;
    expect_ok(find_and_open("auto"), &e);
    ck_assert_str_eq(c.engine->ops->name, "cpu");
    ck_assert_uint_eq(c.devices.count, 0);
    ck_assert_str_eq(
        noted, _i ? "no GPU (CUDA device 0, Dream 9000: not supported by this build: no code for "
                    "compute capability 9.0): computing on the CPU\n"
                  : "no GPU (there is no driver): computing on the CPU\n");
    compute_close(&c, &watching);
    request.explain = false;
    noted[0] = '\0';
    expect_ok(find_and_open("auto"), &e);
    ck_assert_str_eq(noted, "");
    compute_close(&c, &watching);
    expect_error(find_and_open("cuda"), ERR_GPU, &e, _i ? "no code" : "there is no driver");
}
END_TEST

/* The second of three devices: left out, or an error if it was requested by its number. */
START_TEST(one_cannot_be_opened)
{
    char text[64];
    gpus.count = gpus.usable = 3;
    gpus.refused = 1U << 1;
    expect_ok(find_and_open(_i ? "auto" : "cuda"), &e);
    ck_assert_str_eq(c.engine->ops->name, "faulty");
    ck_assert_uint_eq(gpus.options.device_count, 2);
    ck_assert_uint_eq(gpus.numbers[1], 2);
    ck_assert_str_eq(noted, "a GPU cannot be used (GPU 1: out of memory): computing without it\n");
    ck_assert_str_eq(compute_word(&c, text, sizeof text), "cuda:0,2");
    expect_ok(work(), &e);
    compute_close(&c, &watching);
    expect_error(find_and_open("cuda:0,1"), ERR_GPU, &e, "GPU 1: out of memory");
    ck_assert_ptr_null(c.engine);
    expect_ok(find_and_open("cuda:0,2"), &e);
    compute_close(&c, &watching);
    ck_assert_uint_eq(gpus.openings, 4);
}
END_TEST

/* With two slots, the third device is not used unless another one is left out. */
START_TEST(more_devices_than_slots)
{
    char text[64];
    gpus.count = gpus.usable = 3;
    expect_ok(find_and_open("auto"), &e);
    ck_assert_str_eq(compute_word(&c, text, sizeof text), "cuda:0,1");
    compute_close(&c, &watching);
    gpus.refused = 1U << 1;
    expect_ok(find_and_open("cuda"), &e);
    ck_assert_str_eq(compute_word(&c, text, sizeof text), "cuda:0,2");
    compute_close(&c, &watching);
}
END_TEST

START_TEST(none_can_be_opened)
{
    gpus.refused = 3;
    expect_error(find_and_open("cuda"), ERR_GPU, &e, "GPU 1: out of memory");
    ck_assert_ptr_null(c.engine);
    compute_close(&c, &watching);
    noted[0] = '\0';
    expect_ok(find_and_open("auto"), &e);
    ck_assert_str_eq(c.engine->ops->name, "cpu");
    ck_assert_uint_eq(c.devices.count, 0);
    ck_assert_uint_eq(c.device_bytes, 0);
    ck_assert_str_eq(noted,
                     "a GPU cannot be used (GPU 0: out of memory): computing without it\n"
                     "the GPU cannot be used (GPU 1: out of memory): computing on the CPU\n");
    expect_ok(work(), &e);
    compute_close(&c, &watching);
}
END_TEST

/* If the failure concerns no device, no other device is tried. */
START_TEST(no_device_is_to_blame)
{
    gpus.refuses_all = true;
    expect_error(find_and_open("cuda"), ERR_MEMORY, &e, "cannot pin memory");
    ck_assert_ptr_null(c.engine);
    expect_ok(find_and_open("auto"), &e);
    ck_assert_str_eq(c.engine->ops->name, "cpu");
    ck_assert_uint_eq(gpus.openings, 2);
    ck_assert_str_eq(noted, "the GPU cannot be used (cannot pin memory): computing on the CPU\n");
    compute_close(&c, &watching);
}
END_TEST

START_TEST(device_that_fails)
{
    gpus.plan.wait = 1;
    expect_ok(find_and_open("cuda"), &e);
    expect_error(work(), ERR_GPU, &e, FAULTY_TEXT);
    compute_close(&c, &watching);
    ck_assert_str_eq(c.failure, "");
    expect_ok(find_and_open("auto"), &e);
    expect_ok(work(), &e);
    compute_close(&c, &watching);
    ck_assert_str_eq(c.failure, FAULTY_TEXT);
    ck_assert_str_eq(noted, "a GPU failed (" FAULTY_TEXT "): the CPU finished its work\n");
    compute_close(&c, &watching); /* prints no second note */
}
END_TEST

static void spoil(const engine_job *job, uint64_t tile, unsigned char *codes)
{
    (void)job;
    (void)tile;
    codes[5] = 1; /* where 0 belongs */
}

/* Even with `auto`, that is an error. */
START_TEST(device_that_computes_wrongly)
{
    gpus.plan.spoil = spoil;
    expect_ok(find_and_open("auto"), &e);
    expect_error(work(), ERR_GPU, &e, "code at 0, 5");
    compute_close(&c, &watching);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("compute_gpu");
    tcase_add_checked_fixture(tc, reset, NULL);
    tcase_add_test(tc, gpus_compute);
    tcase_add_test(tc, numbers_choose);
    tcase_add_loop_test(tc, auto_falls_back_to_the_cpu, 0, 2);
    tcase_add_loop_test(tc, one_cannot_be_opened, 0, 2);
    tcase_add_test(tc, more_devices_than_slots);
    tcase_add_test(tc, none_can_be_opened);
    tcase_add_test(tc, no_device_is_to_blame);
    tcase_add_test(tc, device_that_fails);
    tcase_add_test(tc, device_that_computes_wrongly);
    return run_tests("compute_gpu", tc);
}
