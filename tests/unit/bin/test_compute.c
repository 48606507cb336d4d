/* The values of --device, which of the available devices they choose, and the names of devices. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "bin/compute/compute.h"
#include "tests/aid/expect.h"

static err e;
static compute_request request;

static void reset(void)
{
    e = (err){0};
    request = COMPUTE_DEFAULT;
}

static const struct {
    const char *word;
    compute_kind kind;
    unsigned count, first, last; /* numbers */
} accepted[] = {
    {"auto", COMPUTE_AUTO, 0, 0, 0},     {"cpu", COMPUTE_CPU, 0, 0, 0},
    {"cuda", COMPUTE_CUDA, 0, 0, 0},     {"cuda:0", COMPUTE_CUDA, 1, 0, 0},
    {"cuda:7", COMPUTE_CUDA, 1, 7, 7},   {"cuda:0,1", COMPUTE_CUDA, 2, 0, 1},
    {"cuda:3,0", COMPUTE_CUDA, 2, 3, 0}, {"cuda:5,4,63", COMPUTE_CUDA, 3, 5, 63},
    {"cuda:007", COMPUTE_CUDA, 1, 7, 7},
};

START_TEST(values_are_accepted)
{
    request.count = 9; /* as if from an earlier --device: the last one wins */
    expect_ok(compute_parse(accepted[_i].word, &request, &e), &e);
    ck_assert_int_eq(request.kind, accepted[_i].kind);
    ck_assert_uint_eq(request.count, accepted[_i].count);
    if (request.count > 0) {
        ck_assert_uint_eq(request.numbers[0], accepted[_i].first);
        ck_assert_uint_eq(request.numbers[request.count - 1], accepted[_i].last);
    }
}
END_TEST

static const char *const refused[] = {
    "",         "gpu",
    "CUDA",     "cuda:",
    "cuda:,",   "cuda:0,",
    "cuda:,0",  "cuda:0,,1",
    "cuda:-1",  "cuda:+1",
    "cuda: 1",  "cuda:1 ",
    "cuda:0x1", "cuda:all",
    "cuda:64",  "cuda0",
    "cuda,0",   "cpu:0",
    "auto:0",   "cpu,cuda",
    "auto|cpu", "cuda:99999999999999999999",
};

START_TEST(other_values_are_refused)
{
    char expected[100];
    snprintf(expected, sizeof expected,
             "--device: expected auto, cpu, cuda or cuda:N,N,..., found '%s'", refused[_i]);
    ck_assert_int_eq(compute_parse(refused[_i], &request, &e), ERR_USAGE);
    ck_assert_str_eq(e.text, expected);
    ck_assert_ptr_nonnull(strstr(e.hint, "cuda:0,1"));
}
END_TEST

START_TEST(numbers_are_listed_once)
{
    expect_error(compute_parse("cuda:1,0,1", &request, &e), ERR_USAGE, &e,
                 "device 1 is listed twice");
    expect_error(compute_parse("cuda:1,01", &request, &e), ERR_USAGE, &e,
                 "device 1 is listed twice");
    char all[512] = "cuda:";
    for (unsigned i = 0; i < DEVICE_MAX; i++) {
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%u", i > 0 ? "," : "", i);
    }
    expect_ok(compute_parse(all, &request, &e), &e);
    ck_assert_uint_eq(request.count, DEVICE_MAX);
}
END_TEST

/* ---- devices --------------------------------------------------- */

static device_list three(void)
{
    return (device_list){
        .count = 3,
        .devices = {
            {.index = 0, .name = "NVIDIA H100 80GB HBM3", .major = 9, .usable = true},
            {.index = 1, .name = "Tesla T4", .major = 7, .minor = 5, .usable = false},
            {.index = 2, .name = "NVIDIA H100 80GB HBM3", .major = 9, .usable = true},
        }};
}

/* Choose by a value of --device, and describe the choice in the same form. */
static err_code choose(const char *word, const device_list *found, compute *c, char text[64])
{
    expect_ok(compute_parse(word, &request, &e), &e);
    const err_code code = compute_choose(&request, found, &c->devices, &e);
    compute_word(c, text, 64);
    return code;
}

START_TEST(devices_are_chosen)
{
    const device_list found = three();
    compute c = {0};
    char text[64];
    expect_ok(choose("cuda", &found, &c, text), &e);
    ck_assert_str_eq(text, "cuda:0,2");
    expect_ok(choose("auto", &found, &c, text), &e);
    ck_assert_str_eq(text, "cuda:0,2");
    expect_ok(choose("cuda:2,0", &found, &c, text), &e);
    ck_assert_str_eq(text, "cuda:2,0");
    expect_ok(choose("cuda:2", &found, &c, text), &e);
    ck_assert_str_eq(text, "cuda:2");
}
END_TEST

START_TEST(devices_that_do_not_exist)
{
    device_list found = three();
    compute c = {0};
    char text[64];
    expect_error(
        choose("cuda:0,1", &found, &c, text), ERR_GPU, &e,
        "CUDA device 1, Tesla T4: not supported by this build: no code for compute capability 7.5");
    expect_error(choose("cuda:0,3", &found, &c, text), ERR_GPU, &e,
                 "no CUDA device 3: there are 3, the last is device 2, NVIDIA H100 80GB HBM3");
    found.count = 2;
    found.devices[0].usable = false;
    expect_error(choose("cuda", &found, &c, text), ERR_GPU, &e, "CUDA device 0, NVIDIA H100");
    found.count = 1;
    expect_error(choose("cuda:1", &found, &c, text), ERR_GPU, &e, "there is 1, the last is");
    found.count = 0;
    expect_error(choose("cuda", &found, &c, text), ERR_GPU, &e, "there is no CUDA device");
    expect_error(choose("cuda:0", &found, &c, text), ERR_GPU, &e, "no CUDA device 0: there are no");
}
END_TEST

START_TEST(names_are_short)
{
    compute c = {.devices = three()};
    char text[300];
    ck_assert_str_eq(compute_name(&c, text, sizeof text), "NVIDIA H100 80GB HBM3 and 2 more");
    snprintf(c.devices.devices[1].name, sizeof c.devices.devices[1].name, "%s",
             c.devices.devices[0].name);
    ck_assert_str_eq(compute_name(&c, text, sizeof text), "3 x NVIDIA H100 80GB HBM3");
    c.devices.count = 1;
    ck_assert_str_eq(compute_name(&c, text, sizeof text), "NVIDIA H100 80GB HBM3");
    c.devices.count = 0;
    ck_assert_str_eq(compute_name(&c, text, sizeof text), "the CPU");
    ck_assert_str_eq(compute_word(&c, text, sizeof text), "cpu");
}
END_TEST

/* ---- without CUDA ---------------------------------------------- */

static void count_note(void *ctx, const char *text)
{
    (void)text;
    ++*(int *)ctx;
}

/* Nobody expects a GPU of a build without CUDA: `auto` prints no note. */
START_TEST(without_cuda)
{
    int notes = 0;
    const monitor m = {.note = count_note, .ctx = &notes};
    compute c;
    if (device_runtime()) {
        return;
    }
    expect_ok(compute_find(&request, &m, &c, &e), &e);
    ck_assert_uint_eq(c.devices.count, 0);
    ck_assert_int_eq(notes, 0);
    request.kind = COMPUTE_CUDA;
    expect_error(compute_find(&request, &m, &c, &e), ERR_GPU, &e, "CUDA is not built in");
}
END_TEST

START_TEST(the_cpu_computes)
{
    const convert_slots slots = {.count = 3, .in_bytes = 8192, .out_bytes = 4096};
    compute c = {0};
    char text[64];
    request.kind = COMPUTE_CPU;
    expect_ok(compute_find(&request, NULL, &c, &e), &e);
    expect_ok(compute_open(&c, &request, &slots, 2, NULL, &e), &e);
    ck_assert_ptr_nonnull(c.engine);
    ck_assert_str_eq(c.engine->ops->name, "cpu");
    ck_assert_uint_eq(c.engine->slot_count, 3);
    ck_assert_str_eq(compute_word(&c, text, sizeof text), "cpu");
    compute_close(&c, NULL);
    ck_assert_ptr_null(c.engine);
    compute_close(&c, NULL);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("compute");
    tcase_add_checked_fixture(tc, reset, NULL);
    tcase_add_loop_test(tc, values_are_accepted, 0, COUNT(accepted));
    tcase_add_loop_test(tc, other_values_are_refused, 0, COUNT(refused));
    tcase_add_test(tc, numbers_are_listed_once);
    tcase_add_test(tc, devices_are_chosen);
    tcase_add_test(tc, devices_that_do_not_exist);
    tcase_add_test(tc, names_are_short);
    tcase_add_test(tc, without_cuda);
    tcase_add_test(tc, the_cpu_computes);
    return run_tests("compute", tc);
}
