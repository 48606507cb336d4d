/* The quantizing kernel against a literal implementation of spec/quant.md (gpu_oracle.cu),
 * gigabytes at a time on the device; its shortcuts against the plain operations, for every value;
 * and a device with little memory. Only in builds with CUDA. SEED=N chooses the data. */
#include <cuda_runtime_api.h>
#include <inttypes.h>
#include <stddef.h>

#include "format/base/num.h"
#include "gpu/quantize/batch.h"
#include "gpu/quantize/engine_cuda.h"
#include "gpu/quantize/kernels.h"
#include "quant/engine/engine_guard.h"
#include "tests/aid/engine_batch.h"
#include "tests/aid/gpu_case.h"

/* gpu/quantize/kernels.S, with gpu_oracle.cu as compiled by nvcc. */
extern const unsigned char oracle_image[];

static void must(cudaError_t result)
{
    ck_assert_msg(result == cudaSuccess, "%s", cudaGetErrorString(result));
}

static cudaLibrary_t oracle_open(void)
{
    cudaLibrary_t library = NULL;
    must(cudaLibraryLoadData(&library, oracle_image, NULL, NULL, 0, NULL, NULL, 0));
    return library;
}

static void launch(cudaLibrary_t library, const char *name, uint32_t blocks, uint32_t threads,
                   void **arguments)
{
    cudaKernel_t kernel = NULL;
    must(cudaLibraryGetKernel(&kernel, library, name));
    must(cudaLaunchKernel((const void *)kernel, (dim3){blocks, 1, 1}, (dim3){threads, 1, 1},
                          arguments, 0, NULL));
    must(cudaDeviceSynchronize());
}

static void *device_alloc(size_t bytes)
{
    void *memory = NULL;
    must(cudaMalloc(&memory, bytes));
    return memory;
}

static uint64_t read_count(void *counter)
{
    unsigned long long value = 0;
    must(cudaMemcpy(&value, counter, sizeof value, cudaMemcpyDeviceToHost));
    return value;
}

/* Run a kernel of the oracle that counts wrong results. */
static uint64_t count_wrong(cudaLibrary_t library, const char *name, uint32_t first)
{
    void *counter = device_alloc(sizeof(uint64_t));
    must(cudaMemset(counter, 0, sizeof(uint64_t)));
    void *with_number[] = {&first, &counter};
    launch(library, name, 4096, 256, first ? with_number : &with_number[1]);
    const uint64_t wrong = read_count(counter);
    must(cudaFree(counter));
    return wrong;
}

START_TEST(every_float)
{
    if (!gpu_is_there()) {
        return;
    }
    cudaLibrary_t library = oracle_open();
    ck_assert_uint_eq(count_wrong(library, "try_all_floats", 0), 0);
    must(cudaLibraryUnload(library));
}
END_TEST

START_TEST(every_quotient)
{
    if (!gpu_is_there()) {
        return;
    }
    cudaLibrary_t library = oracle_open();
    ck_assert_uint_eq(count_wrong(library, "try_all_quotients", 7), 0);
    ck_assert_uint_eq(count_wrong(library, "try_all_quotients", 10), 0);
    must(cudaLibraryUnload(library));
}
END_TEST

/* ---- gigabytes ------------------------------------------------- */

typedef struct volume {
    const char *name;
    uint64_t rows, cols, count;
    dtype source;
    scale_format scales;
    uint32_t keep, set; /* of random words: mask, and what is then added */
    pack_dialect dialect;
} volume;

/* 0x87ff87ff + 0x3b803b80: BF16 of any sign, 16 binades below 2^8; and so on. */
static const volume volumes[] = {
    {"BF16 16384", 16384, 16384, 2, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x38003800, DIALECT_IEEE},
    {"BF16 experts", 512, 2048, 512, DTYPE_BF16, SCALES_UE8M0, 0x87ff87ff, 0x38003800,
     DIALECT_IEEE},
    {"BF16 experts across", 2048, 512, 512, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x38003800,
     DIALECT_IEEE},
    {"BF16 tiny", 2048, 512, 64, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x00000000, DIALECT_IEEE},
    {"BF16 below 2^-25", 2048, 512, 64, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x32003200,
     DIALECT_IEEE},
    {"BF16 ragged", 1000, 1016, 256, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x38003800, DIALECT_IEEE},
    {"BF16 odd", 999, 1001, 128, DTYPE_BF16, SCALES_UE8M0, 0x87ff87ff, 0x38003800, DIALECT_IEEE},
    {"F16", 2048, 512, 512, DTYPE_F16, SCALES_F32, 0xbfffbfff, 0x00000000, DIALECT_IEEE},
    {"F16 ragged", 1000, 1004, 128, DTYPE_F16, SCALES_UE8M0, 0xbfffbfff, 0x00000000, DIALECT_IEEE},
    {"F32", 512, 2048, 256, DTYPE_F32, SCALES_F32, 0x87ffffff, 0x38000000, DIALECT_IEEE},
    {"F32 ragged", 777, 1006, 128, DTYPE_F32, SCALES_UE8M0, 0x87ffffff, 0x38000000, DIALECT_IEEE},
    {"deepgemm", 2048, 512, 128, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x34003400, DIALECT_DEEPGEMM},
    {"deepgemm tiny", 999, 1001, 16, DTYPE_F32, SCALES_UE8M0, 0x87ffffff, 0x30000000,
     DIALECT_DEEPGEMM},
    {"transformers", 2048, 512, 128, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x38003800,
     DIALECT_TRANSFORMERS},
    {"transformers tiny", 2048, 512, 64, DTYPE_BF16, SCALES_F32, 0x80ff80ff, 0,
     DIALECT_TRANSFORMERS},
    {"transformers F16", 1000, 1016, 64, DTYPE_F16, SCALES_UE8M0, 0xbfffbfff, 0,
     DIALECT_TRANSFORMERS},
    {"transformers F32", 777, 1006, 64, DTYPE_F32, SCALES_F32, 0x87ffffff, 0x38000000,
     DIALECT_TRANSFORMERS},
    {"transformer-engine", 2048, 512, 128, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x38003800,
     DIALECT_TRANSFORMER_ENGINE},
    {"transformer-engine tiny", 2048, 512, 64, DTYPE_BF16, SCALES_UE8M0, 0x80ff80ff, 0,
     DIALECT_TRANSFORMER_ENGINE},
    {"transformer-engine F32", 777, 1006, 64, DTYPE_F32, SCALES_UE8M0, 0x87ffffff, 0x38000000,
     DIALECT_TRANSFORMER_ENGINE},
    {"compressed-tensors", 2048, 512, 128, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x38003800,
     DIALECT_COMPRESSED_TENSORS},
    {"compressed-tensors tiny", 2048, 512, 64, DTYPE_BF16, SCALES_F32, 0x80ff80ff, 0,
     DIALECT_COMPRESSED_TENSORS},
    {"compressed-tensors F16", 1000, 1004, 64, DTYPE_F16, SCALES_F32, 0xbfffbfff, 0,
     DIALECT_COMPRESSED_TENSORS},
    {"compressed-tensors F16 tiny", 1000, 1004, 64, DTYPE_F16, SCALES_F32, 0x83ff83ff, 0,
     DIALECT_COMPRESSED_TENSORS},
    {"compressed-tensors F32", 777, 1006, 64, DTYPE_F32, SCALES_F32, 0x87ffffff, 0x38000000,
     DIALECT_COMPRESSED_TENSORS},
    {"linghe", 2048, 512, 128, DTYPE_BF16, SCALES_F32, 0x87ff87ff, 0x38003800, DIALECT_LINGHE},
    {"linghe F16", 1000, 1004, 64, DTYPE_F16, SCALES_F32, 0xbfffbfff, 0, DIALECT_LINGHE},
    {"linghe F32", 777, 1006, 64, DTYPE_F32, SCALES_UE8M0, 0x87ffffff, 0x38000000, DIALECT_LINGHE},
};

/* The input of a volume on the device, and buffers for the results of both kernels. */
typedef struct arena {
    size_t tables, in_bytes, out_bytes, results;
    uint32_t tiles;
    unsigned char *in, *out, *expected; /* after tables and results */
    gpu_launch launch;
} arena;

static void write_tables(arena *a, const volume *v)
{
    engine_job *const jobs = calloc(v->count, sizeof *jobs);
    ck_assert_ptr_nonnull(jobs);
    const size_t element = dtype_bits(v->source) / 8;
    for (uint64_t i = 0; i < v->count; i++) {
        jobs[i] = (engine_job){.source = v->source,
                               .block = block_fp8(v->scales),
                               .dialect = v->dialect,
                               .rows = v->rows,
                               .cols = v->cols,
                               .in_off = i * v->rows * v->cols * element,
                               .out_off = i * v->rows * v->cols};
    }
    const gpu_batch b = gpu_batch_of(jobs, v->count);
    a->tiles = (uint32_t)b.tile_count;
    a->tables = gpu_batch_table_bytes(b.tile_count);
    a->results = gpu_batch_results_bytes(b.tile_count);
    a->in_bytes = num_ceil_div(b.in_bytes, 4) * 4;
    a->out_bytes = num_ceil_div(b.out_bytes, 4) * 4;
    unsigned char *const tables = malloc(a->tables);
    ck_assert_ptr_nonnull(tables);
    gpu_batch_write_table(&b, tables + a->tables);
    a->in = (unsigned char *)device_alloc(a->tables + a->in_bytes) + a->tables;
    a->out = (unsigned char *)device_alloc(a->results + a->out_bytes) + a->results;
    a->expected = (unsigned char *)device_alloc(a->results + a->out_bytes) + a->results;
    must(cudaMemcpy(a->in - a->tables, tables, a->tables, cudaMemcpyHostToDevice));
    a->launch = gpu_batch_launch(&b, a->in, a->out);
    a->launch.scale = v->scales;
    a->launch.dialect = v->dialect;
    free(tables);
    free(jobs);
}

static void quantize_slowly(cudaLibrary_t library, const arena *a, const volume *v)
{
    gpu_launch slow = a->launch;
    const ptrdiff_t apart = a->expected - a->out;
    slow.out += apart;
    slow.scales = (float *)(void *)((unsigned char *)slow.scales + apart);
    slow.stats = (tile_stats *)(void *)((unsigned char *)slow.stats + apart);
    uint32_t bytes = dtype_bits(v->source) / 8;
    uint32_t half = v->source == DTYPE_F16;
    void *arguments[] = {&slow, &bytes, &half};
    launch(library, "quantize_slowly", (uint32_t)num_ceil_div(a->tiles, 64), 64, arguments);
}

/* Compare codes together with scales and statistics, which precede them. */
static uint64_t count_different(cudaLibrary_t library, const arena *a)
{
    void *counter = device_alloc(sizeof(uint64_t));
    must(cudaMemset(counter, 0, sizeof(uint64_t)));
    const unsigned char *found = a->out - a->results;
    const unsigned char *expected = a->expected - a->results;
    uint64_t words = (a->results + a->out_bytes) / 4;
    void *arguments[] = {&found, &expected, &words, &counter};
    launch(library, "count_different", 4096, 256, arguments);
    const uint64_t different = read_count(counter);
    must(cudaFree(counter));
    return different;
}

START_TEST(same_as_oracle)
{
    if (!gpu_is_there()) {
        return;
    }
    const volume *const v = &volumes[_i];
    cudaLibrary_t library = oracle_open();
    kernels k;
    arena a = {0};
    err e = {0};
    expect_ok(kernels_load(&k, &e), &e);
    write_tables(&a, v);
    must(cudaMemset(a.out - a.results, 0xee, a.results + a.out_bytes));
    must(cudaMemset(a.expected - a.results, 0xee, a.results + a.out_bytes));
    uint64_t words = a.in_bytes / 4;
    uint64_t seed = random_seed(_i);
    uint32_t keep = v->keep, set = v->set;
    void *arguments[] = {&a.in, &words, &seed, &keep, &set};
    launch(library, "fill_random", 4096, 256, arguments);
    must(kernels_quantize(&k, v->source, &a.launch, NULL));
    must(cudaDeviceSynchronize());
    quantize_slowly(library, &a, v);
    const uint64_t different = count_different(library, &a);
    ck_assert_msg(different == 0, "%s: %" PRIu64 " words differ", v->name, different);
    must(cudaFree(a.in - a.tables));
    must(cudaFree(a.out - a.results));
    must(cudaFree(a.expected - a.results));
    kernels_unload(&k);
    must(cudaLibraryUnload(library));
}
END_TEST

/* ---- short memory ---------------------------------------------- */

/* Allocate the device's memory except `left` bytes. */
static void *take_memory(size_t left)
{
    size_t free_bytes = 0, all = 0;
    must(cudaMemGetInfo(&free_bytes, &all));
    void *taken = NULL;
    for (size_t bytes = free_bytes - left; bytes > 0 && !taken; bytes -= (size_t)1 << 20) {
        if (cudaMalloc(&taken, bytes) != cudaSuccess) {
            (void)cudaGetLastError();
            taken = NULL;
        }
    }
    return taken;
}

/* If the device has no memory for all slots, as many as fit work; if none fits, it is an error. */
START_TEST(short_memory)
{
    if (!gpu_is_there()) {
        return;
    }
    batch b = batch_new();
    const engine_cuda_options o = {.devices = (const unsigned[]){0},
                                   .device_count = 1,
                                   .slots = 64,
                                   .in_bytes = (size_t)8 << 20,
                                   .out_bytes = (size_t)8 << 20,
                                   .max_tiles = b.tiles,
                                   .gpu_memory = UINT64_MAX};
    engine *g = NULL;
    err e = {0};
    must(cudaFree(NULL));
    void *const taken = take_memory((size_t)200 << 20);
    expect_ok(engine_cuda_open(&o, &g, NULL, &e), &e);
    printf("%u of 64 slots\n", g->slot_count);
    ck_assert_uint_ge(g->slot_count, 1);
    ck_assert_uint_lt(g->slot_count, 64);
    batch_expect(g, &b, "short memory");
    engine_close(g);
    void *const more = take_memory((size_t)4 << 20);
    expect_error(engine_cuda_open(&o, &g, NULL, &e), ERR_GPU, &e, "GPU 0: ");
    must(cudaFree(more));
    must(cudaFree(taken));
    expect_ok(engine_cuda_open(&o, &g, NULL, &e), &e);
    ck_assert_uint_eq(g->slot_count, 64);
    engine_close(g);
    batch_free(&b);
}
END_TEST

/* ---- a lost device --------------------------------------------- */

static const engine_cuda_options four_slots = {.devices = (const unsigned[]){0},
                                               .device_count = 1,
                                               .slots = 4,
                                               .in_bytes = (size_t)8 << 20,
                                               .out_bytes = (size_t)8 << 20,
                                               .max_tiles = 1 << 12,
                                               .gpu_memory = UINT64_MAX};

/* The last test: a kernel fails, and with it the device for this process. A plain engine reports
 * it; with a guard that may take over, the CPU does the work. */
START_TEST(lost_device)
{
    if (!gpu_is_there()) {
        return;
    }
    batch b = batch_new();
    batch_run r = batch_run_new(&b);
    engine *plain = NULL, *inner = NULL, *guarded = NULL;
    err e = {0};
    const engine_guard_options may = {.check_share = 0.5, .take_over = true};
    cudaLibrary_t library = oracle_open();
    cudaKernel_t fail = NULL;
    expect_ok(engine_cuda_open(&four_slots, &plain, NULL, &e), &e);
    expect_ok(engine_cuda_open(&four_slots, &inner, NULL, &e), &e);
    expect_ok(engine_guard_open(inner, &may, &guarded, &e), &e);
    batch_expect(guarded, &b, "before");
    ck_assert_ptr_null(engine_guard_failure(guarded));
    must(cudaLibraryGetKernel(&fail, library, "fail"));
    must(cudaLaunchKernel((const void *)fail, (dim3){1, 1, 1}, (dim3){1, 1, 1}, NULL, 0, NULL));
    ck_assert_int_ne(cudaDeviceSynchronize(), cudaSuccess);
    ck_assert_int_eq(batch_run_slot(&r, plain, &plain->slots[0], &e), ERR_GPU);
    printf("%s\n", e.text);
    ck_assert_ptr_nonnull(strstr(e.text, "GPU 0: cannot "));
    batch_expect(guarded, &b, "after");
    ck_assert_ptr_nonnull(engine_guard_failure(guarded));
    engine_close(plain);
    engine_close(guarded);
    batch_run_free(&r);
    batch_free(&b);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("gpu_quantize");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, every_float);
    tcase_add_test(tc, every_quotient);
    tcase_add_loop_test(tc, same_as_oracle, 0, COUNT(volumes));
    tcase_add_test(tc, short_memory);
    tcase_add_test(tc, lost_device);
    return run_gpu_tests("gpu_quantize", tc);
}
