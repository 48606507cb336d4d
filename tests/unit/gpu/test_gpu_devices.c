/* Several devices at once, on a model of the CUDA runtime (tests/aid/cuda_model.h): how the engine
 * deals out slots and work to them, and what happens if one of them is full or lost. */
#include "gpu/quantize/engine_cuda.h"
#include "quant/engine/engine_guard.h"
#include "tests/aid/conversion.h"
#include "tests/aid/cuda_model.h"
#include "tests/aid/engine_batch.h"

enum { SLOTS = 7 };

static const unsigned both[] = {0, 1};

static engine_cuda_options options_for(const batch *b)
{
    return (engine_cuda_options){.devices = both,
                                 .device_count = 2,
                                 .slots = SLOTS,
                                 .in_bytes = b->in_bytes,
                                 .out_bytes = b->out_bytes,
                                 .max_tiles = b->tiles,
                                 .gpu_memory = UINT64_MAX};
}

static engine *open_engine(const engine_cuda_options *o)
{
    engine *g = NULL;
    err e = {0};
    expect_ok(engine_cuda_open(o, &g, NULL, &e), &e);
    return g;
}

static engine *guarded(engine *inner)
{
    engine *g = NULL;
    err e = {0};
    const engine_guard_options may = {.check_share = 0.1, .take_over = true};
    expect_ok(engine_guard_open(inner, &may, &g, &e), &e);
    return g;
}

/* All slots work, with the given number on each device; then everything is released. */
static void expect_dealt(engine *g, const batch *b, unsigned first, unsigned second)
{
    ck_assert_uint_eq(g->slot_count, first + second);
    batch_expect(g, b, "two devices");
    const unsigned launches[] = {model_devices[0].launches, model_devices[1].launches};
    ck_assert_uint_gt(launches[0] + launches[1], 0);
    ck_assert_uint_eq(launches[0] * second, launches[1] * first);
    engine_close(g);
    model_expect_empty();
}

/* ---- dealing out slots ----------------------------------------- */

/* The memory that a device needs for one slot: 32 MiB are left for the code. */
static size_t needed(const engine_cuda_options *o)
{
    engine *const g = open_engine(o);
    const size_t bytes = (size_t)(g->device_bytes / SLOTS);
    engine_close(g);
    return bytes + ((size_t)32 << 20);
}

START_TEST(slots_are_dealt_in_turn)
{
    batch b = batch_new();
    const engine_cuda_options o = options_for(&b);
    model_begin();
    expect_dealt(open_engine(&o), &b, 4, 3);
    batch_free(&b);
}
END_TEST

START_TEST(the_second_alone)
{
    batch b = batch_new();
    engine_cuda_options o = options_for(&b);
    model_begin();
    model_devices[0].left = 0;
    o.devices = both + 1;
    o.device_count = 1;
    expect_dealt(open_engine(&o), &b, 0, SLOTS);
    batch_free(&b);
}
END_TEST

/* The device has memory for one slot, or for one stream: the other device gets the rest. */
START_TEST(one_is_nearly_full)
{
    batch b = batch_new();
    const engine_cuda_options o = options_for(&b);
    model_begin();
    if (_i) {
        model_devices[1].streams_left = 1;
    } else {
        model_devices[1].left = needed(&o);
    }
    expect_dealt(open_engine(&o), &b, SLOTS - 1, 1);
    batch_free(&b);
}
END_TEST

/* The error names the device, everything is released, and the other device works alone. */
static void expect_first_alone(const batch *b, const char *why)
{
    engine_cuda_options o = options_for(b);
    engine *g = NULL;
    unsigned failed = 7;
    err e = {0};
    expect_error(engine_cuda_open(&o, &g, &failed, &e), ERR_GPU, &e, why);
    ck_assert_uint_eq(failed, 1);
    ck_assert_ptr_null(g);
    model_expect_empty();
    o.device_count = 1;
    expect_dealt(open_engine(&o), b, SLOTS, 0);
}

START_TEST(one_cannot_be_used)
{
    batch b = batch_new();
    const engine_cuda_options o = options_for(&b);
    model_begin();
    model_devices[1].left = needed(&o) - 1;
    expect_first_alone(&b, "GPU 1: no memory for one slot: ");
    model_begin();
    model_devices[1].streams_left = 0;
    expect_first_alone(&b, "GPU 1: no memory for one slot: ");
    model_begin();
    model_devices[1].busy = true;
    expect_first_alone(&b, "GPU 1: cannot use it: ");
    batch_free(&b);
}
END_TEST

START_TEST(errors_of_no_device)
{
    batch b = batch_new();
    engine_cuda_options o = options_for(&b);
    engine *g = NULL;
    unsigned failed = 7;
    err e = {0};
    model_begin();
    o.gpu_memory = 1;
    expect_error(engine_cuda_open(&o, &g, &failed, &e), ERR_MEMORY, &e, "the budget is 1 B");
    ck_assert_uint_eq(failed, 2);
    o = options_for(&b);
    o.out_bytes = (size_t)1 << 31;
    expect_error(engine_cuda_open(&o, &g, &failed, &e), ERR_GPU, &e, "too many for a GPU");
    ck_assert_uint_eq(failed, 2);
    batch_free(&b);
}
END_TEST

/* ---- losing a device ------------------------------------------- */

START_TEST(one_is_lost)
{
    batch b = batch_new();
    batch_run r = batch_run_new(&b);
    const engine_cuda_options o = options_for(&b);
    model_begin();
    engine *g = open_engine(&o);
    model_devices[1].fails_after = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        err e = {0};
        if (i % 2 == 0) {
            expect_ok(batch_run_slot(&r, g, &g->slots[i], &e), &e);
            ck_assert(batch_run_same(&r, &g->slots[i]));
        } else {
            expect_error(batch_run_slot(&r, g, &g->slots[i], &e), ERR_GPU, &e, "GPU 1: cannot ");
        }
    }
    engine_close(g);
    model_expect_empty();
    batch_run_free(&r);
    batch_free(&b);
}
END_TEST

/* The device is lost at any point of the work. */
START_TEST(the_work_of_a_lost_device_is_done)
{
    batch b = batch_new();
    const engine_cuda_options o = options_for(&b);
    model_begin();
    engine *const g = guarded(open_engine(&o));
    model_devices[1].fails_after = _i;
    batch_expect(g, &b, "the second device is lost");
    ck_assert_ptr_nonnull(engine_guard_failure(g));
    ck_assert_ptr_nonnull(strstr(engine_guard_failure(g), "GPU 1: "));
    ck_assert_uint_gt(model_devices[0].launches, 0);
    engine_close(g);
    model_expect_empty();
    batch_free(&b);
}
END_TEST

/* ---- conversions ----------------------------------------------- */

static conversion *running;
static engine *used;
static bool with_guard;

/* An engine on both devices in place of the CPU's, with the same number of slots. */
static engine *on_both(engine *cpu)
{
    const engine_cuda_options o = {.devices = both,
                                   .device_count = 2,
                                   .slots = cpu->slot_count,
                                   .in_bytes = cpu->in_bytes,
                                   .out_bytes = cpu->out_bytes,
                                   .max_tiles = running->slots.max_tiles,
                                   .gpu_memory = UINT64_MAX};
    used = open_engine(&o);
    used = with_guard ? guarded(used) : used;
    return used;
}

static conversion of_example(void)
{
    static char example[512];
    snprintf(example, sizeof example, "%s/ring-micro-linear", getenv("TESTDATA"));
    conversion r = conversion_with(4, PLENTY * MIB);
    r.options.source = example;
    r.options.force = true;
    return r;
}

/* Convert on both devices; the second is lost after `fails_after` pieces of work (negative:
 * never). */
static conversion by_both(bool guard, int fails_after)
{
    conversion r = of_example();
    model_begin();
    model_meet = true;
    model_devices[1].fails_after = fails_after;
    with_guard = guard;
    running = &r;
    r.wrap = on_both;
    if (guard || fails_after < 0) {
        conversion_succeeds(&r);
    } else {
        conversion_fails(&r, ERR_GPU, "GPU 1: cannot ");
    }
    return r;
}

/* Both devices take work from one queue, and give the bytes of the CPU. */
START_TEST(both_convert_one_model)
{
    conversion by_cpu = of_example();
    conversion_succeeds(&by_cpu);
    const conversion r = by_both(_i % 2, -1);
    ck_assert_uint_gt(r.slots.count, 1);
    ck_assert_uint_gt(model_devices[0].launches, 0);
    ck_assert_uint_gt(model_devices[1].launches, 0);
    ck_assert_mem_eq(r.report.root, by_cpu.report.root, SHA256_BYTES);
    engine_close(used);
    model_expect_empty();
}
END_TEST

/* Without a guard an error and no output; with one, the rest completes the conversion. */
START_TEST(one_is_lost_while_converting)
{
    conversion by_cpu = of_example();
    (void)by_both(false, _i);
    engine_close(used);
    model_expect_empty();
    conversion_succeeds(&by_cpu);
    const conversion r = by_both(true, _i);
    ck_assert_ptr_nonnull(engine_guard_failure(used));
    ck_assert_uint_gt(model_devices[0].launches, 0);
    ck_assert_mem_eq(r.report.root, by_cpu.report.root, SHA256_BYTES);
    engine_close(used);
    model_expect_empty();
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("gpu_devices");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, conversion_setup, scratch_remove);
    tcase_add_test(tc, slots_are_dealt_in_turn);
    tcase_add_test(tc, the_second_alone);
    tcase_add_loop_test(tc, one_is_nearly_full, 0, 2);
    tcase_add_test(tc, one_cannot_be_used);
    tcase_add_test(tc, errors_of_no_device);
    tcase_add_test(tc, one_is_lost);
    tcase_add_loop_test(tc, the_work_of_a_lost_device_is_done, 0, 12);
    tcase_add_loop_test(tc, both_convert_one_model, 0, 2);
    tcase_add_loop_test(tc, one_is_lost_while_converting, 0, 4);
    return run_tests("gpu_devices", tc);
}
