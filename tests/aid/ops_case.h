/* For tests of the CPU operations: operations of every level and number of threads,
 * matrices with gaps between their rows, random contents, comparison of bits.
 *
 *     static void scenario(ops *o, uint64_t seed, float *out) { ... }
 *     expect_same_everywhere(scenario, seed, floats);       out has the same bits everywhere
 */
#ifndef OPS_CASE_H
#define OPS_CASE_H

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/cpu_level.h"
#include "format/tensor/float_bits.h"
#include "tests/aid/expect.h"
#include "verify/ops/ops_cpu.h"

static inline uint64_t case_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1dU;
}

static inline size_t case_below(uint64_t *state, size_t limit)
{
    return (size_t)(case_random(state) >> 32) % limit;
}

/* -1 ... 1, 24 bits. */
static inline float case_float(uint64_t *state)
{
    return (float)(case_random(state) >> 40) * 0x1p-23f - 1;
}

static inline void case_fill(float *x, size_t n, uint64_t *state)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = case_float(state);
    }
}

static inline ops *case_ops_at(cpu_level level, unsigned threads)
{
    ops *o = NULL;
    err e = {0};
    ck_assert_int_eq(setenv("OCTAVO_CPU", cpu_level_name(level), 1), 0);
    expect_ok(ops_cpu_create(threads, &o, &e), &e);
    return o;
}

static inline ops *case_ops(void)
{
    ops *o = NULL;
    err e = {0};
    expect_ok(ops_cpu_create(2, &o, &e), &e);
    return o;
}

static inline void case_done(ops *o)
{
    err e = {0};
    expect_ok(o->status(o, &e), &e);
    o->destroy(o);
}

enum { CASE_GAP = 5 }; /* floats between rows, and a mark in them */
#define CASE_MARK 12345.0f

/* Release its data. Random contents if `state`, else zeros. */
static inline mat case_mat(ops *o, size_t rows, size_t cols, uint64_t *state)
{
    const size_t stride = cols + CASE_GAP;
    const mat m = {o->alloc(o, rows * stride), rows, cols, stride};
    ck_assert_ptr_nonnull(m.data);
    for (size_t i = 0; i < rows; i++) {
        if (state) {
            case_fill(m.data + i * stride, cols, state);
        }
        for (size_t j = cols; j < stride; j++) {
            m.data[i * stride + j] = CASE_MARK;
        }
    }
    return m;
}

/* Copy its rows without gaps, and check that the gaps are untouched. */
static inline float *case_take(ops *o, mat m, float *to)
{
    o->get(o, m, to);
    for (size_t i = 0; i < m.rows; i++) {
        for (size_t j = m.cols; j < m.stride; j++) {
            ck_assert_msg(m.data[i * m.stride + j] == CASE_MARK, "row %zu: the gap was written", i);
        }
    }
    return to + m.rows * m.cols;
}

static inline void expect_same_bits(const char *what, const float *found, const float *expected,
                                    size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(float_bits(found[i]) == float_bits(expected[i]), "%s: float %zu: %a, not %a",
                      what, i, (double)found[i], (double)expected[i]);
    }
}

typedef void (*case_scenario)(ops *o, uint64_t seed, float *out);

/* Every level of this processor with 1, 2 and 8 threads. */
static inline void expect_same_everywhere(case_scenario scenario, uint64_t seed, size_t floats)
{
    static const unsigned threads[] = {1, 2, 8};
    float *const expected = calloc(floats, sizeof *expected);
    float *const found = calloc(floats, sizeof *found);
    ck_assert(expected && found);
    for (cpu_level level = CPU_BASELINE; level < CPU_LEVELS; level++) {
        for (int t = 0; t < COUNT(threads) && cpu_level_available(level); t++) {
            const bool first = level == CPU_BASELINE && t == 0;
            char what[64];
            snprintf(what, sizeof what, "%s, %u threads", cpu_level_name(level), threads[t]);
            ops *const o = case_ops_at(level, threads[t]);
            scenario(o, seed, first ? expected : found);
            case_done(o);
            if (!first) {
                expect_same_bits(what, found, expected, floats);
            }
        }
    }
    free(expected);
    free(found);
}

#endif
