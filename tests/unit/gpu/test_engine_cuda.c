/* The CUDA engine against the CPU's tile kernel: all bits of codes, scales and statistics, on one
 * device and on two (the first one twice, if there is no second). Without a GPU the same calls must
 * report what is missing. SEED=N chooses the data. */
#include "gpu/quantize/engine_cuda.h"

#include <inttypes.h>

#include "format/base/cpu_level.h"
#include "quant/engine/tile_kernel.h"
#include "tests/aid/engine_batch.h"
#include "tests/aid/gpu_case.h"
#include "tests/aid/random_elements.h"

enum { SLOT_BYTES = 8 << 20, MAX_JOBS = 4096, MAX_TILES = 8192 };

static unsigned devices[] = {0, 0};

static void find_second(void)
{
    device_list all;
    devices[1] = device_find_all(&all, NULL) == OK && all.count > 1 && all.devices[1].usable;
}

static engine_cuda_options options_for(unsigned device_count, unsigned slots)
{
    return (engine_cuda_options){.devices = devices,
                                 .device_count = device_count,
                                 .slots = slots,
                                 .in_bytes = SLOT_BYTES,
                                 .out_bytes = SLOT_BYTES,
                                 .max_tiles = MAX_TILES,
                                 .gpu_memory = (uint64_t)1 << 30};
}

static engine *open_engine(unsigned device_count, unsigned slots)
{
    const engine_cuda_options o = options_for(device_count, slots);
    engine *g = NULL;
    err e = {0};
    expect_ok(engine_cuda_open(&o, &g, NULL, &e), &e);
    return g;
}

/* Many slots, and jobs of all kinds in one submit. */
START_TEST(same_bytes)
{
    if (!gpu_is_there()) {
        return;
    }
    batch b = batch_new();
    for (unsigned count = 1; count <= 2; count++) {
        engine *const g = open_engine(count, 7);
        ck_assert_str_eq(g->ops->name, "cuda");
        ck_assert_uint_eq(g->slot_count, 7);
        ck_assert_uint_gt(g->device_bytes, 7ULL * 2 * SLOT_BYTES);
        batch_expect(g, &b, count == 1 ? "one device" : "two devices");
        engine_close(g);
    }
    batch_free(&b);
}
END_TEST

/* ---- jobs of random shapes, packed into one slot --------------- */

typedef struct load {
    engine_job jobs[MAX_JOBS];
    float scales[MAX_TILES], cpu_scales[MAX_TILES];
    tile_stats stats[MAX_TILES], cpu_stats[MAX_TILES];
    unsigned char codes[SLOT_BYTES];
    size_t count, tiles, in_bytes, out_bytes;
} load;

/* False: there is no space left for this job. */
static bool load_add(load *l, engine_job job, size_t in_gap, size_t out_gap)
{
    const size_t element = dtype_bits(job.source) / 8;
    job.in_off = (l->in_bytes + element - 1) / element * element + in_gap * element;
    job.out_off = l->out_bytes + out_gap;
    const size_t in_end = job.in_off + job.rows * job.cols * element;
    const size_t out_end = job.out_off + job.rows * job.cols;
    if (l->count == MAX_JOBS || in_end > SLOT_BYTES || out_end > SLOT_BYTES ||
        l->tiles + engine_job_tiles(&job) > MAX_TILES) {
        return false;
    }
    job.tile_scales = l->scales + l->tiles;
    job.stats = l->stats + l->tiles;
    l->tiles += engine_job_tiles(&job);
    l->in_bytes = in_end;
    l->out_bytes = out_end;
    l->jobs[l->count++] = job;
    return true;
}

static load *load_new(void)
{
    load *const l = calloc(1, sizeof *l);
    ck_assert_ptr_nonnull(l);
    return l;
}

static void load_on_cpu(load *l, const unsigned char *in)
{
    cpu_level level;
    ck_assert_int_eq(cpu_level_choose(&level, NULL), OK);
    tile_scratch *const scratch = aligned_alloc(64, sizeof *scratch);
    ck_assert_ptr_nonnull(scratch);
    for (size_t i = 0; i < l->count; i++) {
        engine_job job = l->jobs[i];
        job.tile_scales = l->cpu_scales + (job.tile_scales - l->scales);
        job.stats = l->cpu_stats + (job.stats - l->stats);
        tile_kernel_at(level)->quantize(&job, in, l->codes, 0, engine_job_tiles(&job), scratch);
    }
    free(scratch);
}

static bool same_float(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* For a tile with infinities and NaNs only their number and place are defined. */
static bool same_stats(const tile_stats *a, const tile_stats *b)
{
    return a->nonfinite == b->nonfinite && a->first_nonfinite == b->first_nonfinite &&
           (a->nonfinite > 0 || (same_float(a->amax, b->amax) && same_float(a->sum_y2, b->sum_y2) &&
                                 same_float(a->sum_d2, b->sum_d2) && a->saturated == b->saturated &&
                                 a->zero == b->zero && a->flushed == b->flushed));
}

/* Bytes that belong to no job stay unchanged: the bytes between codes of jobs are compared as
 * well. */
static void expect_same(load *l, engine *g, engine_slot *slot, const char *what)
{
    err e = {0};
    memset(l->codes, 0xa5, l->out_bytes);
    load_on_cpu(l, slot->in);
    expect_ok(engine_submit(g, slot, l->jobs, l->count, &e), &e);
    expect_ok(engine_wait(g, slot, &e), &e);
    for (size_t i = 0; i < l->count; i++) {
        const engine_job *const job = &l->jobs[i];
        const size_t first = (size_t)(job->stats - l->stats);
        bool finite = true;
        for (size_t t = first; t < first + engine_job_tiles(job); t++) {
            ck_assert_msg(same_stats(&l->stats[t], &l->cpu_stats[t]),
                          "%s: job %zu: statistics of tile %zu", what, i, t - first);
            finite = finite && l->stats[t].nonfinite == 0;
            ck_assert(l->stats[t].nonfinite > 0 || l->scales[t] == l->cpu_scales[t]);
        }
        ck_assert_msg(!finite || memcmp(slot->out + job->out_off, l->codes + job->out_off,
                                        job->rows * job->cols) == 0,
                      "%s: job %zu of %" PRIu64 " x %" PRIu64 ": codes differ", what, i, job->rows,
                      job->cols);
    }
}

/* The dialect with this number if it has scales of the job's kind, else ieee. */
static pack_dialect any_dialect(const engine_job *job, uint32_t number)
{
    const pack_dialect d = number < DIALECT_COUNT ? (pack_dialect)number : DIALECT_IEEE;
    return dialect_lacks(d, job->source, job->block.scale) ? DIALECT_IEEE : d;
}

/* With THIN=N in the environment, one N-th of the rounds, for slow tools. */
static unsigned rounds(void)
{
    const char *const text = getenv("THIN");
    const unsigned thin = text ? (unsigned)strtoul(text, NULL, 10) : 1;
    return thin > 1 ? 1 + 23 / thin : 24;
}

/* Sides of 1 ... 385, every alignment, all types, dialects and kinds of scales, elements of all
 * magnitudes. */
START_TEST(ragged_shapes)
{
    if (!gpu_is_there()) {
        return;
    }
    static const dtype sources[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    uint64_t state = random_seed(_i);
    engine *const g = open_engine(2, 2);
    for (unsigned round = 0; round < rounds(); round++) {
        load *const l = load_new();
        engine_slot *const slot = &g->slots[round % 2];
        for (bool fits = true; fits;) {
            const uint64_t side = random_below(&state, 4) ? 385 : 8;
            engine_job job = {.source = sources[random_below(&state, 3)],
                              .block = block_fp8((scale_format)random_below(&state, 2)),
                              .rows = 1 + random_below(&state, (uint32_t)side),
                              .cols = 1 + random_below(&state, 385)};
            job.cols = random_below(&state, 3) ? job.cols : (job.cols + 7) / 8 * 8;
            job.dialect = any_dialect(&job, random_below(&state, 2 * DIALECT_COUNT));
            fits = load_add(l, job, random_below(&state, 9), random_below(&state, 9));
        }
        for (size_t i = 0; i < l->count; i++) {
            const engine_job *const job = &l->jobs[i];
            const random_range r = random_range_any(&state, job->source);
            const size_t element = dtype_bits(job->source) / 8;
            for (uint64_t k = 0; k < job->rows * job->cols; k++) {
                const uint32_t bits = random_finite(&state, job->source, r);
                memcpy(slot->in + job->in_off + k * element, &bits, element);
            }
        }
        expect_same(l, g, slot, "ragged");
        free(l);
    }
    engine_close(g);
}
END_TEST

/* Every finite BF16 value: all in one matrix, and in windows of 16 binades, where fewer are
 * flushed. */
START_TEST(all_bf16)
{
    if (!gpu_is_there()) {
        return;
    }
    engine *const g = open_engine(1, 1);
    engine_slot *const slot = g->slots;
    load *const l = load_new();
    for (unsigned top = 1; top < 256; top += 2) {
        engine_job job = {.source = DTYPE_BF16,
                          .block = block_fp8(top / 2 % 2 ? SCALES_UE8M0 : SCALES_F32),
                          .rows = 32,
                          .cols = 128};
        job.dialect = any_dialect(&job, (uint32_t)_i);
        ck_assert(load_add(l, job, 0, 0));
        for (unsigned k = 0; k < 32 * 128; k++) {
            const unsigned exponent = top < 15 ? k / 128 % 16 : top - 15 + k / 128 % 16;
            const uint16_t bits =
                (uint16_t)((k / 128 / 16) << 15 | (exponent < 255 ? exponent : 254) << 7 | k % 128);
            memcpy(slot->in + l->jobs[l->count - 1].in_off + k * 2, &bits, sizeof bits);
        }
    }
    engine_job everything = {
        .source = DTYPE_BF16, .block = block_fp8(SCALES_F32), .rows = 510, .cols = 128};
    everything.dialect = any_dialect(&everything, (uint32_t)_i);
    ck_assert(load_add(l, everything, 0, 0));
    for (unsigned k = 0; k < 510 * 128; k++) {
        const uint16_t bits = (uint16_t)(k < 255 * 128 ? k : k - 255 * 128 + 0x8000);
        memcpy(slot->in + l->jobs[l->count - 1].in_off + k * 2, &bits, sizeof bits);
    }
    expect_same(l, g, slot, "all BF16");
    free(l);
    engine_close(g);
}
END_TEST

/* Tiles of values close below a given amax: the corner cases of spec/quant.md section 2. */
START_TEST(corners)
{
    if (!gpu_is_there()) {
        return;
    }
    static const uint32_t amax[] = {0,          1,          224,        225,        0x00400000,
                                    0x00800000, 0x00e00000, 0x00e00001, 0x04600000, 0x7f7fffff,
                                    0x3f800000, 0x43e00000, 0x33000000, 0x32ffffff, 0x2effffff};
    engine *const g = open_engine(1, 1);
    engine_slot *const slot = g->slots;
    load *const l = load_new();
    uint64_t state = random_seed(_i);
    for (unsigned i = 0; i < 2U * COUNT(amax); i++) {
        engine_job job = {.source = DTYPE_F32,
                          .block = block_fp8((scale_format)(i % 2)),
                          .rows = 128,
                          .cols = 128};
        job.dialect = any_dialect(&job, (uint32_t)_i);
        ck_assert(load_add(l, job, 0, 0));
        for (unsigned k = 0; k < 128 * 128; k++) {
            const uint32_t largest = amax[i / 2];
            const uint32_t down = random_below(&state, 1 + largest / 3);
            const uint32_t sign = random_below(&state, 2) << 31;
            const uint32_t bits = k == 77 ? largest : (largest - down) | sign;
            memcpy(slot->in + l->jobs[i].in_off + k * 4, &bits, sizeof bits);
        }
    }
    expect_same(l, g, slot, "corners");
    free(l);
    engine_close(g);
}
END_TEST

/* Their number and the first of them are reported; neighboring tiles are not affected. */
START_TEST(nonfinite)
{
    if (!gpu_is_there()) {
        return;
    }
    static const dtype sources[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    engine *const g = open_engine(1, 1);
    engine_slot *const slot = g->slots;
    load *const l = load_new();
    uint64_t state = random_seed(_i);
    for (unsigned i = 0; i < 30; i++) {
        const dtype source = sources[i % 3];
        const engine_job job = {.source = source,
                                .block = block_fp8(SCALES_F32),
                                .rows = 1 + random_below(&state, 300),
                                .cols = 1 + random_below(&state, 300)};
        ck_assert(load_add(l, job, 0, 0));
        const float_layout f = float_layout_of(source);
        const size_t element = dtype_bits(source) / 8;
        unsigned char *const at = slot->in + l->jobs[i].in_off;
        const uint32_t elements = (uint32_t)(job.rows * job.cols);
        ck_assert_uint_gt(elements, 0);
        for (uint64_t k = 0; k < job.rows * job.cols; k++) {
            const uint32_t bits = random_finite(&state, source, (random_range){14, 3});
            memcpy(at + k * element, &bits, element);
        }
        for (unsigned k = 0; k < i; k++) {
            const uint32_t infinity = ((1u << f.exponent_bits) - 1) << f.mantissa_bits;
            const uint32_t bits =
                infinity | (k % 2 ? random_below(&state, 1u << f.mantissa_bits) : 0);
            const uint32_t where = random_below(&state, elements);
            memcpy(at + where * element, &bits, element);
        }
    }
    expect_same(l, g, slot, "nonfinite");
    free(l);
    engine_close(g);
}
END_TEST

START_TEST(nothing_to_do)
{
    if (!gpu_is_there()) {
        return;
    }
    engine *const g = open_engine(1, 2);
    expect_ok(engine_wait(g, &g->slots[0], NULL), NULL);
    expect_ok(engine_submit(g, &g->slots[1], NULL, 0, NULL), NULL);
    expect_ok(engine_wait(g, &g->slots[1], NULL), NULL);
    engine_close(g);
}
END_TEST

/* A budget for three slots of ten; for none; a device that does not exist; sizes that no device
 * has. */
START_TEST(too_little)
{
    if (!gpu_is_there()) {
        return;
    }
    engine *g = NULL;
    err e = {0};
    engine_cuda_options o = options_for(1, 10);
    o.gpu_memory = 3ULL * 18 << 20;
    expect_ok(engine_cuda_open(&o, &g, NULL, &e), &e);
    ck_assert_uint_eq(g->slot_count, 3);
    ck_assert_uint_le(g->device_bytes, o.gpu_memory);
    engine_close(g);
    o.gpu_memory = 1 << 20;
    expect_error(engine_cuda_open(&o, &g, NULL, &e), ERR_MEMORY, &e, "budget is 1 MiB");
    o = options_for(1, 10);
    o.devices = (const unsigned[]){63};
    expect_error(engine_cuda_open(&o, &g, NULL, &e), ERR_GPU, &e, "GPU 63: no such device");
    o = options_for(1, 2);
    o.in_bytes = (size_t)1 << 40;
    o.gpu_memory = UINT64_MAX;
    expect_error(engine_cuda_open(&o, &g, NULL, &e), ERR_GPU, &e, "no memory for one slot");
    o.in_bytes = 1;
    o.out_bytes = (size_t)1 << 32;
    expect_error(engine_cuda_open(&o, &g, NULL, &e), ERR_GPU, &e, "too many for a GPU");
}
END_TEST

/* Without a GPU both functions fail with the same message. */
START_TEST(without_gpu)
{
    device_list all;
    err e = {0};
    if (device_find_all(&all, &e) == OK) {
        ck_assert_uint_gt(all.count, 0);
        return;
    }
    ck_assert_int_eq(e.code, ERR_GPU);
    engine *g = NULL;
    err again = {0};
    const engine_cuda_options o = options_for(1, 1);
    expect_error(engine_cuda_open(&o, &g, NULL, &again), ERR_GPU, &again, e.text);
    ck_assert_ptr_null(g);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("engine_cuda");
    tcase_set_timeout(tc, 120);
    find_second();
    tcase_add_test(tc, without_gpu);
    tcase_add_test(tc, same_bytes);
    tcase_add_test(tc, ragged_shapes);
    tcase_add_loop_test(tc, all_bf16, DIALECT_IEEE, DIALECT_COUNT);
    tcase_add_loop_test(tc, corners, DIALECT_IEEE, DIALECT_COUNT);
    tcase_add_test(tc, nonfinite);
    tcase_add_test(tc, nothing_to_do);
    tcase_add_test(tc, too_little);
    return run_gpu_tests("engine_cuda", tc);
}
