#include "tests/aid/ops_pair.h"

#include <math.h>
#include <stdarg.h>

#include "format/base/cpu_level.h"
#include "tests/aid/expect.h"
#include "tests/aid/ops_naive.h"
#include "tests/aid/oracle_e4m3.h"
#include "verify/ops/ops_cpu.h"

/* Create the tested one at a level that this processor has, unless the caller of the test chose. */
static void create_tested(ops_pair *p)
{
    err e = {0};
    cpu_level level = CPU_BASELINE;
    const bool chosen = getenv("OCTAVO_CPU") != NULL;
    if (chosen) {
        expect_ok(cpu_level_choose(&level, &e), &e);
    } else {
        do {
            level = (cpu_level)pair_below(p, CPU_LEVELS);
        } while (!cpu_level_available(level));
        ck_assert_int_eq(setenv("OCTAVO_CPU", cpu_level_name(level), 1), 0);
    }
    p->level = cpu_level_name(level);
    expect_ok(ops_cpu_create(p->threads, &p->tested, &e), &e);
    if (!chosen) {
        ck_assert_int_eq(unsetenv("OCTAVO_CPU"), 0);
    }
}

void pair_open(ops_pair *p, uint64_t seed)
{
    *p = (ops_pair){.random = seed};
    p->threads = 1 + pair_below(p, 4);
    create_tested(p);
    p->naive = ops_naive_create();
    ck_assert_ptr_nonnull(p->naive);
}

void pair_close(ops_pair *p)
{
    err e = {0};
    expect_ok(p->tested->status(p->tested, &e), &e);
    expect_ok(p->naive->status(p->naive, &e), &e);
    for (unsigned i = 0; i < p->memories; i++) {
        p->tested->release(p->tested, p->memory[i].tested.data);
        p->naive->release(p->naive, p->memory[i].naive.data);
    }
    for (unsigned i = 0; i < p->weight_count; i++) {
        p->tested->unload(p->tested, &p->weights[i].tested);
        p->naive->unload(p->naive, &p->weights[i].naive);
    }
    for (unsigned i = 0; i < p->hosts; i++) {
        free(p->host[i]);
    }
    p->tested->destroy(p->tested);
    p->naive->destroy(p->naive);
}

/* ---- random values --------------------------------------------- */

uint32_t pair_below(ops_pair *p, uint32_t limit)
{
    return (uint32_t)((oracle_random(&p->random) >> 32) * limit >> 32);
}

size_t pair_size(ops_pair *p, size_t limit)
{
    static const size_t edges[] = {8, 12, 16, 24, 32, 64, 96, 128, 256, 512};
    size_t size = 1 + pair_below(p, (uint32_t)limit);
    if (pair_below(p, 2)) {
        size = edges[pair_below(p, COUNT(edges))] - 1 + pair_below(p, 3);
    }
    return size <= limit ? size : 1 + size % limit;
}

spread pair_spread(ops_pair *p)
{
    return pair_below(p, 2) ? PLAIN : (spread)pair_below(p, SPREADS);
}

float pair_value(ops_pair *p, spread s)
{
    static const struct {
        int lowest;
        uint32_t span;
    } exponents[SPREADS] = {{-4, 6}, {-30, 61}, {-149, 30}, {40, 15}};
    const float sign = pair_below(p, 2) ? -1.0f : 1.0f;
    const uint32_t kind = pair_below(p, 16);
    if (kind == 0) {
        return sign * 0.0f;
    }
    uint32_t mantissa = pair_below(p, 1U << 23);
    if (kind < 5) {
        mantissa &= ~0U << 19; /* sums are exact, quotients tie */
    }
    const int exponent = exponents[s].lowest + (int)pair_below(p, exponents[s].span);
    return sign * ldexpf(1 + ldexpf((float)mantissa, -23), exponent);
}

void *pair_host(ops_pair *p, size_t bytes, size_t skew)
{
    ck_assert_uint_lt(p->hosts, PAIR_ITEMS);
    unsigned char *const block = malloc(bytes + skew);
    ck_assert_ptr_nonnull(block);
    p->host[p->hosts++] = block;
    return block + skew;
}

float *pair_floats(ops_pair *p, size_t count, spread s)
{
    float *const x = pair_host(p, count * sizeof *x, sizeof *x * pair_below(p, 8));
    for (size_t i = 0; i < count; i++) {
        x[i] = pair_value(p, s);
    }
    return x;
}

/* ---- matrices -------------------------------------------------- */

both pair_zeros(ops_pair *p, size_t floats)
{
    ck_assert_uint_lt(p->memories, PAIR_ITEMS);
    const both m = {{p->tested->alloc(p->tested, floats), 1, floats, floats},
                    {p->naive->alloc(p->naive, floats), 1, floats, floats}};
    ck_assert(m.tested.data && m.naive.data);
    p->memory[p->memories++] = m;
    return m;
}

both pair_mat(ops_pair *p, size_t rows, size_t cols, spread s)
{
    const size_t lead = pair_below(p, 2) * pair_below(p, 9);
    const size_t stride = cols + pair_below(p, 2) * pair_below(p, 20);
    const both all = pair_zeros(p, lead + (rows - 1) * stride + cols);
    float *const host = malloc(all.naive.cols * sizeof *host);
    ck_assert_ptr_nonnull(host);
    for (size_t i = 0; i < all.naive.cols; i++) {
        host[i] = pair_value(p, s);
    }
    p->tested->put(p->tested, host, all.tested);
    p->naive->put(p->naive, host, all.naive);
    free(host);
    return (both){{all.tested.data + lead, rows, cols, stride},
                  {all.naive.data + lead, rows, cols, stride}};
}

both both_rows(both m, size_t first, size_t count)
{
    return (both){mat_rows(m.tested, first, count), mat_rows(m.naive, first, count)};
}

both both_cols(both m, size_t first, size_t count)
{
    return (both){mat_cols(m.tested, first, count), mat_cols(m.naive, first, count)};
}

/* ---- weights --------------------------------------------------- */

static uint16_t random_half(ops_pair *p)
{
    const uint32_t bits = pair_below(p, 1U << 16);
    const uint32_t kind = pair_below(p, 16);
    if (kind == 0) {
        return (uint16_t)(bits & 0x8000); /* ±0 */
    }
    if (kind == 1) {
        return (uint16_t)(bits & 0x83ff); /* subnormal */
    }
    return (uint16_t)((bits & 0x7c00) == 0x7c00 ? bits & 0xbbff : bits); /* finite */
}

static uint8_t random_code(ops_pair *p)
{
    const uint8_t code = (uint8_t)pair_below(p, 256);
    return (code & 0x7f) > ORACLE_LARGEST ? code & 0x80 : code;
}

static const float *random_scales(ops_pair *p, size_t count, scale_format format)
{
    const int lowest = (int)pair_below(p, 2) ? -12 : -126 + (int)pair_below(p, 140);
    float *const scales = pair_host(p, count * sizeof *scales, sizeof *scales * pair_below(p, 4));
    for (size_t i = 0; i < count; i++) {
        const float significand = 1 + ldexpf((float)pair_below(p, 1U << 23), -23);
        scales[i] =
            ldexpf(format == SCALES_UE8M0 ? 1 : significand, lowest + (int)pair_below(p, 14));
    }
    return scales;
}

static both_weights load(ops_pair *p, weight w)
{
    both_weights loaded = {w, w};
    p->tested->load(p->tested, &loaded.tested);
    p->naive->load(p->naive, &loaded.naive);
    ck_assert(loaded.tested.loaded && loaded.naive.loaded);
    ck_assert_uint_lt(p->weight_count, PAIR_ITEMS);
    p->weights[p->weight_count++] = loaded;
    return loaded;
}

both_weights pair_weight(ops_pair *p, dtype type, size_t rows, size_t cols, spread s)
{
    const size_t bytes = dtype_bits(type) / 8;
    unsigned char *const data = pair_host(p, rows * cols * bytes, bytes * pair_below(p, 16));
    weight w = {.type = type, .rows = rows, .cols = cols, .data = data};
    if (type == DTYPE_F8_E4M3) {
        w.block = block_fp8(pair_below(p, 2) ? SCALES_UE8M0 : SCALES_F32);
        w.scales = random_scales(p, block_count(w.block, rows, cols), w.block.scale);
    }
    for (size_t i = 0; i < rows * cols; i++) {
        if (type == DTYPE_F8_E4M3) {
            data[i] = random_code(p);
        } else if (type == DTYPE_F16) {
            ((uint16_t *)(void *)data)[i] = random_half(p);
        } else if (type == DTYPE_BF16) {
            const uint32_t bits = oracle_bits(pair_value(p, s));
            ((uint16_t *)(void *)data)[i] = (uint16_t)(bits >> 16);
        } else {
            ((float *)(void *)data)[i] = pair_value(p, s);
        }
    }
    return load(p, w);
}

/* ---- comparison ------------------------------------------------ */

void pair_describe(ops_pair *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(p->what, sizeof p->what, format, args);
    va_end(args);
    ck_assert_int_ge(length, 0);
}

static uint32_t word_at(const void *words, size_t i)
{
    uint32_t word;
    memcpy(&word, (const unsigned char *)words + i * sizeof word, sizeof word);
    return word;
}

/* `view` tells at which row and column of it a difference lies. */
static void compare(const ops_pair *p, const void *tested, const void *naive, size_t words,
                    const mat *view, size_t lead)
{
    for (size_t i = 0; i < words; i++) { /* their bits are not defined: no case may lead there */
        if (isnan(oracle_float(word_at(naive, i)))) {
            ck_abort_msg("%s: a NaN is expected at %zu", p->what, i);
        }
    }
    if (memcmp(tested, naive, words * sizeof(uint32_t)) == 0) {
        return;
    }
    size_t first = words;
    size_t count = 0;
    for (size_t i = words; i-- > 0;) {
        if (word_at(tested, i) != word_at(naive, i)) {
            first = i;
            count++;
        }
    }
    const size_t row = view && first >= lead ? (first - lead) / view->stride : 0;
    const size_t col = first - (first >= lead ? lead : 0) - (view ? row * view->stride : 0);
    const uint32_t found = word_at(tested, first);
    const uint32_t expected = word_at(naive, first);
    ck_abort_msg(
        "%s, %s, %u threads: %zu of %zu differ, first at row %zu column %zu (index %zu, the "
        "matrix starts at %zu): 0x%08x %a, expected 0x%08x %a",
        p->what, p->level, p->threads, count, words, row, col, first, lead, found,
        (double)oracle_float(found), expected, (double)oracle_float(expected));
}

void pair_same_host(ops_pair *p, const void *tested, const void *naive, size_t words)
{
    compare(p, tested, naive, words, NULL, 0);
}

void pair_same(ops_pair *p, both m)
{
    unsigned i = 0;
    while (m.naive.data < p->memory[i].naive.data ||
           m.naive.data >= p->memory[i].naive.data + p->memory[i].naive.cols) {
        i++;
        ck_assert_uint_lt(i, p->memories);
    }
    const both all = p->memory[i];
    const size_t words = all.naive.cols;
    float *const tested = malloc(words * sizeof *tested);
    float *const naive = malloc(words * sizeof *naive);
    ck_assert(tested && naive);
    p->tested->get(p->tested, all.tested, tested);
    p->naive->get(p->naive, all.naive, naive);
    const size_t lead = (size_t)(m.naive.data - all.naive.data);
    compare(p, tested, naive, words, &m.naive, lead);
    free(tested);
    free(naive);
}
