/* octavo devices with fake GPUs: this program has its own gpu/. Tests the table, the object of
 * --json, and what is said where there is none. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "bin/cmd.h"
#include "gpu/device/device.h"
#include "gpu/quantize/engine_cuda.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

/* ---- the GPUs -------------------------------------------------- */

static unsigned gpu_count;
static bool is_listed; /* the list can be had */

const char *device_runtime(void)
{
    return "13.0";
}

err_code device_find_all(device_list *out, err *e)
{
    static const device_info devices[] = {
        {.index = 0,
         .name = "Dream 9000",
         .bus = "0000:1b:00.0",
         .major = 9,
         .multiprocessors = 132,
         .memory_bytes = UINT64_C(80) << 30,
         .usable = true},
        {.index = 1,
         .name = "Fossil",
         .bus = "0000:1c:00.0",
         .major = 3,
         .minor = 5,
         .multiprocessors = 15,
         .memory_bytes = UINT64_C(12) << 30},
    };
    *out = (device_list){.count = gpu_count};
    memcpy(out->devices, devices, sizeof devices);
    return is_listed ? OK : err_set(e, ERR_GPU, "the driver is too old");
}

/* Listing devices opens none. */
err_code engine_cuda_open(const engine_cuda_options *o, engine **out, unsigned *failed, err *e)
{
    (void)o, (void)out, (void)failed;
    return err_set(e, ERR_INTERNAL, "opened");
}

/* ---- the command ----------------------------------------------- */

static char printed[4096];

static void start(void)
{
    scratch_make();
    gpu_count = 2;
    is_listed = true;
}

/* Fills `printed`, except with --json. */
static void run_devices(bool json, report *r)
{
    char *arguments[] = {(char *)"devices", (char *)"--json"};
    err e = {0};
    ck_assert_ptr_nonnull(freopen(scratch("out"), "w", stdout));
    report_start(r, COMMAND_DEVICES, json);
    expect_ok(cmd_devices.run(json ? 2 : 1, arguments, r, &e), &e);
    fflush(stdout);
    FILE *const f = fopen(scratch("out"), "r");
    ck_assert_ptr_nonnull(f);
    printed[fread(printed, 1, sizeof printed - 1, f)] = '\0';
    ck_assert_int_eq(fclose(f), 0);
}

START_TEST(text_is_a_table)
{
    static const char expected[] =
        "\nCUDA   13.0\n\n"
        "device  name        capability  memory  SMs  PCI address   usable\n"
        "cuda:0  Dream 9000  9.0         80 GiB  132  0000:1b:00.0  yes\n"
        "cuda:1  Fossil      3.5         12 GiB   15  0000:1c:00.0  no: no code for compute "
        "capability 3.5\n";
    report r;
    run_devices(false, &r);
    const char *const found = strchr(printed, '\n');
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found, expected);
}
END_TEST

START_TEST(json_has_all_of_it)
{
    report r;
    run_devices(true, &r);
    ck_assert_str_eq(printed, "");
    const json_t *const cuda = json_object_get(r.root, "cuda");
    const json_t *const devices = json_object_get(cuda, "devices");
    ck_assert_str_eq(json_string_value(json_object_get(cuda, "runtime")), "13.0");
    ck_assert(json_is_null(json_object_get(cuda, "error")));
    char *const text = json_dumps(devices, JSON_COMPACT);
    ck_assert_str_eq(
        text,
        "[{\"index\":0,\"name\":\"Dream 9000\",\"compute_capability\":\"9.0\","
        "\"memory_bytes\":85899345920,\"multiprocessors\":132,\"pci_address\":\"0000:1b:00.0\","
        "\"usable\":true,\"unusable_reason\":null},"
        "{\"index\":1,\"name\":\"Fossil\",\"compute_capability\":\"3.5\","
        "\"memory_bytes\":12884901888,\"multiprocessors\":15,\"pci_address\":\"0000:1c:00.0\","
        "\"usable\":false,\"unusable_reason\":\"no code for compute capability 3.5\"}]");
    free(text);
    json_decref(r.root);
}
END_TEST

/* The reason is told, and what a list that failed may hold is not. */
START_TEST(no_gpu_has_a_reason)
{
    report r;
    is_listed = false;
    run_devices(false, &r);
    ck_assert_ptr_nonnull(strstr(printed, "CUDA   13.0, no device: the driver is too old\n"));
    run_devices(true, &r);
    const json_t *const cuda = json_object_get(r.root, "cuda");
    ck_assert_str_eq(json_string_value(json_object_get(cuda, "error")), "the driver is too old");
    ck_assert_uint_eq(json_array_size(json_object_get(cuda, "devices")), 0);
    json_decref(r.root);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("cmd_devices");
    tcase_add_checked_fixture(tc, start, scratch_remove);
    tcase_add_test(tc, text_is_a_table);
    tcase_add_test(tc, json_has_all_of_it);
    tcase_add_test(tc, no_gpu_has_a_reason);
    return run_tests("cmd_devices", tc);
}
