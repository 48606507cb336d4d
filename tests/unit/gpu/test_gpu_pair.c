/* Conversions on two GPUs give the bytes of the CPU, however they share the work and if one is
 * lost.
 *
 * If there is only one GPU, it plays both: device 1 is then a second context on it, created by the
 * driver; the runtime uses it where it is current. Like another device, such a context has its own
 * streams, events, kernels and memory; but a failing kernel takes down both contexts. gpu/cuda.mk
 * links this program so that the engine's calls that choose a device are intercepted here.
 * OCTAVO_MODELS names a directory with more checkpoints to convert. */
#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>
#include <unistd.h>

#include "gpu/quantize/engine_cuda.h"
#include "quant/engine/engine_guard.h"
#include "tests/aid/conversion.h"
#include "tests/aid/engine_batch.h"
#include "tests/aid/gpu_case.h"

/* gpu/quantize/kernels.S, with gpu_oracle.cu as compiled by nvcc. */
extern const unsigned char oracle_image[];

/* ---- two devices ----------------------------------------------- */

static CUcontext second;      /* NULL: device 1 is a real device */
static atomic_uint chosen[2]; /* how often each was, since the engine was opened: once per submit */

/* A function of the driver; this program is not linked with it. */
static void *driver(const char *name, unsigned version)
{
    void *found = NULL;
    enum cudaDriverEntryPointQueryResult result;
    ck_assert_int_eq(cudaGetDriverEntryPointByVersion(name, &found, version, 0, &result),
                     cudaSuccess);
    ck_assert_ptr_nonnull(found);
    return found;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): names that ld makes with --wrap */
err_code __real_device_find_all(device_list *out, err *e);
err_code __wrap_device_find_all(device_list *out, err *e);
cudaError_t __real_cudaSetDevice(int device);
cudaError_t __wrap_cudaSetDevice(int device);

err_code __wrap_device_find_all(device_list *out, err *e)
{
    const err_code code = __real_device_find_all(out, e);
    if (code == OK && out->count == 1) {
        out->devices[1] = out->devices[0];
        out->devices[1].index = 1;
        out->count = 2;
    }
    return code;
}

cudaError_t __wrap_cudaSetDevice(int device)
{
    chosen[device]++;
    if (device == 0 || !second) {
        return __real_cudaSetDevice(device);
    }
    const PFN_cuCtxSetCurrent_v4000 set =
        (PFN_cuCtxSetCurrent_v4000)driver("cuCtxSetCurrent", 4000);
    return set(second) == CUDA_SUCCESS ? cudaSuccess : cudaErrorDevicesUnavailable;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static CUcontext current(void)
{
    CUcontext c = NULL;
    const PFN_cuCtxGetCurrent_v4000 get =
        (PFN_cuCtxGetCurrent_v4000)driver("cuCtxGetCurrent", 4000);
    ck_assert_int_eq(get(&c), CUDA_SUCCESS);
    return c;
}

/* Without a GPU: false, and the reason is printed. */
static bool pair_is_there(void)
{
    int count = 0;
    if (!gpu_is_there()) {
        return false;
    }
    ck_assert_int_eq(cudaGetDeviceCount(&count), cudaSuccess);
    if (count == 1 && !second) {
        const PFN_cuCtxCreate_v3020 create = (PFN_cuCtxCreate_v3020)driver("cuCtxCreate", 3020);
        ck_assert_int_eq(create(&second, CU_CTX_SCHED_AUTO, 0), CUDA_SUCCESS);
        printf("device 1 is a second context on device 0\n");
    }
    ck_assert_int_eq(cudaSetDevice(1), cudaSuccess);
    CUcontext of_second = current();
    ck_assert_int_eq(cudaSetDevice(0), cudaSuccess);
    ck_assert_ptr_nonnull(of_second);
    ck_assert_ptr_ne(of_second, current());
    return true;
}

/* Run the kernel that fails: device 1 is then lost for this process. */
static void lose_second(void)
{
    cudaLibrary_t library = NULL;
    cudaKernel_t fail = NULL;
    ck_assert_int_eq(cudaSetDevice(1), cudaSuccess);
    ck_assert_int_eq(cudaLibraryLoadData(&library, oracle_image, NULL, NULL, 0, NULL, NULL, 0),
                     cudaSuccess);
    ck_assert_int_eq(cudaLibraryGetKernel(&fail, library, "fail"), cudaSuccess);
    ck_assert_int_eq(
        cudaLaunchKernel((const void *)fail, (dim3){1, 1, 1}, (dim3){1, 1, 1}, NULL, 0, NULL),
        cudaSuccess);
    ck_assert_int_ne(cudaDeviceSynchronize(), cudaSuccess);
    (void)cudaGetLastError();
    ck_assert_int_eq(cudaSetDevice(0), cudaSuccess);
}

/* ---- engines --------------------------------------------------- */

/* Ways to ask for the devices. */
static const struct pair {
    const char *word;
    unsigned count, numbers[2];
} pairs[] = {{"cuda:0,1", 2, {0, 1}}, {"cuda:1,0", 2, {1, 0}}, {"cuda:1", 1, {1}}};

static engine *open_pair(const struct pair *p, engine_cuda_options o)
{
    engine *g = NULL;
    err e = {0};
    o.devices = p->numbers;
    o.device_count = p->count;
    o.gpu_memory = UINT64_MAX;
    expect_ok(engine_cuda_open(&o, &g, NULL, &e), &e);
    return g;
}

START_TEST(same_bytes)
{
    if (!pair_is_there()) {
        return;
    }
    batch b = batch_new();
    engine *const g = open_pair(&pairs[_i], (engine_cuda_options){.slots = 7,
                                                                  .in_bytes = b.in_bytes,
                                                                  .out_bytes = b.out_bytes,
                                                                  .max_tiles = b.tiles});
    ck_assert_uint_eq(g->slot_count, 7);
    batch_expect(g, &b, pairs[_i].word);
    engine_close(g);
    batch_free(&b);
}
END_TEST

/* ---- conversions ----------------------------------------------- */

static const struct pair *asked;
static const conversion *running;
static engine *used;

/* The pair in place of the CPU's engine, with the same number of slots; all tiles are checked. */
static engine *on_pair(engine *cpu)
{
    const engine_guard_options may = {.check_share = 1, .take_over = true};
    err e = {0};
    engine *const g =
        open_pair(asked, (engine_cuda_options){.slots = cpu->slot_count,
                                               .in_bytes = cpu->in_bytes,
                                               .out_bytes = cpu->out_bytes,
                                               .max_tiles = running->slots.max_tiles});
    expect_ok(engine_guard_open(g, &may, &used, &e), &e);
    chosen[0] = chosen[1] = 0;
    return used;
}

static conversion conversion_of(char *source, scale_format scales)
{
    conversion r = conversion_with(4, PLENTY * MIB);
    r.options.source = source;
    r.options.force = true;
    r.recipe.scales = scales;
    return r;
}

/* Convert on the pair: the root must be the CPU's, and a device that was not asked for gets no
 * work. The engine stays open. */
static void convert_by_pair(const struct pair *p, conversion *r, const conversion *by_cpu)
{
    asked = p;
    running = r;
    r->wrap = on_pair;
    conversion_succeeds(r);
    ck_assert_mem_eq(r->report.root, by_cpu->report.root, SHA256_BYTES);
    ck_assert_uint_gt(chosen[0] + chosen[1], 0);
    ck_assert(p->count == 2 || chosen[0] == 0);
}

/* Adds up what was submitted to each device. */
static void convert_model(char *path, unsigned work[2])
{
    for (int k = 0; k < SCALE_FORMAT_COUNT; k++) {
        const scale_format scales = (scale_format)k;
        conversion by_cpu = conversion_of(path, scales);
        conversion_succeeds(&by_cpu);
        for (int i = 0; i < COUNT(pairs); i++) {
            conversion r = conversion_of(path, scales);
            convert_by_pair(&pairs[i], &r, &by_cpu);
            for (int d = 0; d < 2 && pairs[i].count == 2; d++) {
                work[d] += chosen[d];
            }
            ck_assert_ptr_null(engine_guard_failure(used));
            ck_assert_uint_gt(engine_guard_checked(used), 0);
            engine_close(used);
        }
    }
    printf("same bytes: %s, %d ways\n", path, 2 * COUNT(pairs));
}

static char *example(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/ring-micro-linear", getenv("TESTDATA"));
    return path;
}

START_TEST(models)
{
    static const char *const names[] = {"ring-nano-linear", "zoo/llama",   "zoo/llama-tied",
                                        "zoo/mistral",      "zoo/mixtral", "zoo/glm4_moe",
                                        "zoo/qwen2",        "zoo/qwen3",   "zoo/qwen3_moe",
                                        "zoo/deepseek_v3",  "zoo/minimax"};
    const char *const where = getenv("OCTAVO_MODELS");
    unsigned work[2] = {0};
    if (!pair_is_there()) {
        return;
    }
    convert_model(example(), work);
    for (int i = 0; i < COUNT(names); i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", where ? where : "", names[i]);
        if (where && access(path, F_OK) == 0) {
            convert_model(path, work);
        } else {
            printf("skipped: no %s\n", path);
        }
    }
    printf("together: %u submits to device 0, %u to device 1\n", work[0], work[1]);
    ck_assert_uint_gt(work[0], 0);
    ck_assert_uint_gt(work[1], 0);
}
END_TEST

/* The last test: a device is lost after the first write, and the CPU does the rest of its work. */
START_TEST(one_is_lost)
{
    if (!pair_is_there()) {
        return;
    }
    saboteur s = {.act = lose_second};
    conversion by_cpu = conversion_of(example(), SCALES_F32);
    conversion_succeeds(&by_cpu);
    conversion r = conversion_of(example(), SCALES_F32);
    r.m = (monitor){.ctx = &s, .advance = at_progress};
    convert_by_pair(&pairs[0], &r, &by_cpu);
    ck_assert_int_gt(s.acted, 0);
    ck_assert_ptr_nonnull(engine_guard_failure(used));
    printf("%s\n", engine_guard_failure(used));
    engine_close(used);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("gpu_pair");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, conversion_setup, scratch_remove);
    tcase_add_loop_test(tc, same_bytes, 0, COUNT(pairs));
    tcase_add_test(tc, models);
    tcase_add_test(tc, one_is_lost);
    return run_gpu_tests("gpu_pair", tc);
}
