/* The CPU operations on rows, and what all operations have in common: memory, status, aliases, gaps
 * between rows, and the same bits at every level and number of threads. */
#include <check.h>

#include "tests/aid/ops_case.h"
#include "verify/ops/elementary.h"

/* ---- memory and status ----------------------------------------- */

START_TEST(memory_is_aligned_and_zero)
{
    ops *const o = case_ops();
    static const size_t sizes[] = {0, 1, 17, 1 << 20};
    for (int i = 0; i < COUNT(sizes); i++) {
        float *const p = o->alloc(o, sizes[i]);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 64, 0);
        for (size_t j = 0; j < sizes[i]; j++) {
            ck_assert_uint_eq(float_bits(p[j]), 0);
        }
        o->release(o, p);
    }
    ck_assert_ptr_null(o->alloc(o, SIZE_MAX / 2));
    o->release(o, NULL);
    ck_assert_str_eq(o->name, "cpu");
    case_done(o);
}
END_TEST

START_TEST(put_and_get)
{
    ops *const o = case_ops();
    uint64_t state = random_seed(_i);
    float host[7 * 9];
    float back[7 * 9];
    case_fill(host, 63, &state);
    const mat m = case_mat(o, 7, 9, NULL);
    o->put(o, host, m);
    ck_assert(m.data[6 * m.stride + 8] == host[62]);
    case_take(o, m, back);
    expect_same_bits("back", back, host, 63);
    o->release(o, m.data);
    case_done(o);
}
END_TEST

/* More work space than there are addresses: the failure stays, and nothing else happens. */
START_TEST(first_failure_stays)
{
    ops *const o = case_ops();
    err e = {0};
    float one = 1;
    const size_t huge = (size_t)1 << 59; /* 8 tokens of this many floats */
    weight w = {.type = DTYPE_F32, .rows = 1, .cols = huge, .data = &one};
    const mat x = {&one, 1, huge, huge};
    float *const y = o->alloc(o, 1);
    const mat to = {y, 1, 1, 1};
    expect_ok(o->status(o, &e), &e);
    o->load(o, &w);
    o->matmul(o, x, &w, NULL, false, to);
    expect_error(o->status(o, &e), ERR_MEMORY, &e, "no memory for");
    o->put(o, &one, to);
    o->add(o, to, (mat){&one, 1, 1, 1});
    ck_assert(y[0] == 0);
    expect_error(o->status(o, &e), ERR_MEMORY, &e, "no memory for");
    o->release(o, y);
    o->unload(o, &w);
    ck_assert_ptr_null(w.loaded);
    o->unload(o, &w);
    o->destroy(o);
}
END_TEST

START_TEST(levels_are_checked)
{
    ops *o = NULL;
    err e = {0};
    ck_assert_int_eq(setenv("OCTAVO_CPU", "v9", 1), 0);
    expect_error(ops_cpu_create(1, &o, &e), ERR_USAGE, &e, "v9");
}
END_TEST

/* ---- values computed by hand ----------------------------------- */

static const uint16_t ones_and_twos[] = {0x3f80, 0x4000, 0x3f80, 0x4000}; /* BF16 */

START_TEST(norm_by_hand)
{
    ops *const o = case_ops();
    const mat x = case_mat(o, 1, 4, NULL);
    const mat y = case_mat(o, 1, 4, NULL);
    const weight whole = {.type = DTYPE_BF16, .rows = 1, .cols = 4, .data = ones_and_twos};
    const weight part = {.type = DTYPE_BF16, .rows = 1, .cols = 2, .data = ones_and_twos};
    float out[4];
    o->put(o, (const float[]){3, 3, 5, 5}, x);
    o->norm(o, x, 2, &part, 0, y); /* roots of 9 and 25 */
    case_take(o, y, out);
    expect_same_bits("shared weight", out, (const float[]){1, 2, 1, 2}, 4);
    o->norm(o, x, 1, &whole, 8, y); /* (9 + 9 + 25 + 25) / 4 + 8 = 25 */
    case_take(o, y, out);
    expect_same_bits("whole", out, (const float[]){0.6f, 1.2f, 1, 2}, 4);
    o->norm(o, x, 2, &whole, 0, x);
    case_take(o, x, out);
    expect_same_bits("in place", out, (const float[]){1, 2, 1, 2}, 4);
    o->release(o, x.data);
    o->release(o, y.data);
    case_done(o);
}
END_TEST

START_TEST(rope_by_hand)
{
    ops *const o = case_ops();
    const mat x = case_mat(o, 1, 10, NULL); /* two heads of five channels, four of them rotated */
    float out[10];
    o->put(o, (const float[]){1, 2, 3, 4, 9, 5, 6, 7, 8, 9}, x);
    o->rope(o, x, 2, (rotation){.half = 2}, (const float[]){0, 2}, (const float[]){1, 3});
    case_take(o, x, out);
    expect_same_bits("rope", out, (const float[]){-3, -8, 1, 14, 9, -7, -12, 5, 34, 9}, 10);
    o->put(o, (const float[]){9, 1, 3, 2, 4, 9, 5, 7, 6, 8}, x);
    o->rope(o, x, 2, (rotation){1, 2, true}, (const float[]){0, 2}, (const float[]){1, 3});
    case_take(o, x, out);
    expect_same_bits("neighbours", out, (const float[]){9, -3, 1, -8, 14, 9, -7, 5, -12, 34}, 10);
    o->release(o, x.data);
    case_done(o);
}
END_TEST

/* The bias comes after the sum is complete: 2^24 + 1 is not a float, and 1 + 2^24 - 2^24 would be
 * 0. */
START_TEST(bias_by_hand)
{
    ops *const o = case_ops();
    const mat x = case_mat(o, 2, 2, NULL);
    const mat y = case_mat(o, 2, 2, NULL);
    const float rows[] = {0x1p24f, -0x1p24f, 1, 2};
    weight w = {.type = DTYPE_F32, .rows = 2, .cols = 2, .data = rows};
    weight bias = {.type = DTYPE_BF16, .rows = 1, .cols = 2, .data = ones_and_twos};
    float out[4];
    o->load(o, &w);
    o->load(o, &bias);
    o->put(o, (const float[]){1, 1, 3, 1}, x);
    o->matmul(o, x, &w, &bias, false, y);
    case_take(o, y, out);
    expect_same_bits("y", out, (const float[]){1, 5, 0x1p25f, 7}, 4);
    o->unload(o, &w);
    o->unload(o, &bias);
    o->release(o, x.data);
    o->release(o, y.data);
    case_done(o);
}
END_TEST

START_TEST(gather_and_scatter)
{
    ops *const o = case_ops();
    const mat x = case_mat(o, 4, 3, NULL);
    const mat y = case_mat(o, 2, 3, NULL);
    float out[12];
    const uint32_t rows[] = {3, 1};
    const float weights[] = {2, -0.5f};
    o->put(o, (const float[]){0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32}, x);
    o->gather(o, x, rows, y);
    case_take(o, y, out);
    expect_same_bits("gather", out, (const float[]){30, 31, 32, 10, 11, 12}, 6);
    o->scatter(o, y, rows, weights, x);
    case_take(o, x, out);
    const float expected[] = {0, 1, 2, 5, 5.5f, 6, 20, 21, 22, 90, 93, 96};
    expect_same_bits("scatter", out, expected, 12);
    o->zero(o, y);
    case_take(o, y, out);
    expect_same_bits("zero", out, (const float[]){0, 0, 0, 0, 0, 0}, 6);
    o->release(o, x.data);
    o->release(o, y.data);
    case_done(o);
}
END_TEST

START_TEST(functions_of_elements)
{
    ops *const o = case_ops();
    uint64_t state = random_seed(_i);
    const mat x = case_mat(o, 3, 50, &state);
    const mat up = case_mat(o, 3, 50, &state);
    const mat y = case_mat(o, 3, 50, NULL);
    float a[150], b[150], out[150];
    case_take(o, x, a);
    case_take(o, up, b);
    o->silu_mul(o, x, up, y);
    case_take(o, y, out);
    for (int i = 0; i < 150; i++) {
        const float expected = elementary_silu(a[i]) * b[i];
        ck_assert_uint_eq(float_bits(out[i]), float_bits(expected));
    }
    o->silu_mul(o, x, up, up);
    expect_same_bits("into up", up.data, y.data, 50);
    o->put(o, b, up);
    o->silu(o, x);
    case_take(o, x, out);
    for (int i = 0; i < 150; i++) {
        ck_assert_uint_eq(float_bits(out[i]), float_bits(elementary_silu(a[i])));
    }
    o->put(o, a, x);
    o->silu_mul(o, x, up, x);
    expect_same_bits("into gate", x.data, y.data, 50);
    o->release(o, x.data);
    o->release(o, up.data);
    o->release(o, y.data);
    case_done(o);
}
END_TEST

/* ---- the same everywhere --------------------------------------- */

typedef struct shape {
    size_t rows, groups, part;
} shape;

static const shape shapes[] = {{1, 1, 1}, {3, 1, 31}, {5, 4, 33}, {300, 3, 70}, {9, 1, 2048}};

static shape current; /* of the scenario; every test runs in a process of its own */

/* All kinds of norms, and all row operations again in place. */
static void norms(ops *o, uint64_t seed, float *out)
{
    const size_t cols = current.groups * current.part;
    const unsigned groups = (unsigned)current.groups;
    const mat x = case_mat(o, current.rows, cols, &seed);
    const mat g = case_mat(o, current.rows, cols, &seed);
    const mat y = case_mat(o, current.rows, cols, NULL);
    float *const channels = calloc(cols, sizeof *channels);
    case_fill(channels, cols, &seed);
    const weight w = {.type = DTYPE_F32, .rows = 1, .cols = cols, .data = channels};
    const weight shared = {.type = DTYPE_F32, .rows = 1, .cols = current.part, .data = channels};
    o->norm(o, x, groups, &w, 1e-6f, y);
    out = case_take(o, y, out);
    o->gate(o, x, groups, &shared, 1e-6f, g, y);
    out = case_take(o, y, out);
    o->gate(o, x, groups, &shared, 1e-6f, g, x);
    expect_same_bits("gate in place", x.data, y.data, cols);
    o->silu_mul(o, y, g, y);
    o->add(o, y, g);
    case_take(o, y, out);
    free(channels);
    o->release(o, x.data);
    o->release(o, g.data);
    o->release(o, y.data);
}

START_TEST(rows_same_everywhere)
{
    current = shapes[_i];
    expect_same_everywhere(norms, random_seed(_i),
                           3 * current.rows * current.groups * current.part);
}
END_TEST

/* A row in a batch gives the same bits as alone. */
START_TEST(norm_rows_are_independent)
{
    ops *const o = case_ops();
    uint64_t state = random_seed(_i);
    const size_t cols = shapes[_i].groups * shapes[_i].part;
    const unsigned groups = (unsigned)shapes[_i].groups;
    const mat x = case_mat(o, shapes[_i].rows, cols, &state);
    const mat y = case_mat(o, shapes[_i].rows, cols, NULL);
    const mat alone = case_mat(o, 1, cols, NULL);
    float *const channels = calloc(cols, sizeof *channels);
    case_fill(channels, cols, &state);
    const weight w = {.type = DTYPE_F32, .rows = 1, .cols = cols, .data = channels};
    o->norm(o, x, groups, &w, 1e-5f, y);
    for (size_t i = 0; i < x.rows; i++) {
        o->norm(o, mat_rows(x, i, 1), groups, &w, 1e-5f, alone);
        expect_same_bits("alone", alone.data, y.data + i * y.stride, cols);
    }
    free(channels);
    o->release(o, x.data);
    o->release(o, y.data);
    o->release(o, alone.data);
    case_done(o);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ops_cpu");
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, memory_is_aligned_and_zero);
    tcase_add_test(tc, put_and_get);
    tcase_add_test(tc, first_failure_stays);
    tcase_add_test(tc, levels_are_checked);
    tcase_add_test(tc, norm_by_hand);
    tcase_add_test(tc, rope_by_hand);
    tcase_add_test(tc, bias_by_hand);
    tcase_add_test(tc, gather_and_scatter);
    tcase_add_test(tc, functions_of_elements);
    tcase_add_loop_test(tc, rows_same_everywhere, 0, COUNT(shapes));
    tcase_add_loop_test(tc, norm_rows_are_independent, 0, COUNT(shapes));
    return run_tests("ops_cpu", tc);
}
