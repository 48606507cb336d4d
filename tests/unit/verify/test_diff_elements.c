/* Which elements differ, and by how much at most, for every dtype. */
#include <math.h>

#include "tests/aid/expect.h"
#include "verify/diff/diff_job.h"

enum { COUNT_OF = 1000, AT = 300, THEN = 700 };

static diff_finding compare(dtype type, const void *a, const void *b, uint64_t count)
{
    diff_finding found = {.largest = -1}; /* none */
    err e = {0};
    expect_ok(diff_elements(type, a, b, count, 5000, NULL, &found, &e), &e);
    return found;
}

/* Bits of an element, what they become twice, and by how much the value changes at most. */
static const struct {
    dtype type;
    uint64_t from, once, then;
    double largest; /* NaN: not compared as numbers */
} cases[] = {
    {DTYPE_F32, 0x3f800000, 0x40400000, 0x40000000, 2},
    {DTYPE_F32, 0x3f800000, 0xbf800000, 0x7fc00000, 2}, /* a NaN has no distance */
    {DTYPE_F64, 0x3ff0000000000000, 0x4008000000000000, 0x4000000000000000, 2},
    {DTYPE_BF16, 0x3f80, 0x4040, 0x4000, 2},
    {DTYPE_F16, 0x3c00, 0x4200, 0x4000, 2},
    {DTYPE_F8_E4M3, 0x38, 0x44, 0x40, 2},
    {DTYPE_I8, 0, 0x80, 1, 128},
    {DTYPE_I16, 0, 0x8000, 1, 32768},
    {DTYPE_I32, 0, 0x80000000, 1, 2147483648.0},
    {DTYPE_I64, 0, 0x8000000000000000, 1, 0x1p63},
    {DTYPE_U8, 0, 0x80, 1, 128},
    {DTYPE_U16, 0, 0x8000, 1, 32768},
    {DTYPE_U32, 0, 0x80000000, 1, 2147483648.0},
    {DTYPE_U64, 0, 0x8000000000000000, 1, 0x1p63},
    {DTYPE_BOOL, 0, 1, 1, NAN},
};

static void put(unsigned char *data, size_t each, size_t at, uint64_t bits)
{
    for (size_t i = 0; i < each; i++) {
        data[at * each + i] = (unsigned char)(bits >> (8 * i));
    }
}

START_TEST(the_largest_difference)
{
    static unsigned char a[8 * COUNT_OF], b[8 * COUNT_OF];
    const dtype type = cases[_i].type;
    const size_t each = dtype_bits(type) / 8;
    for (size_t i = 0; i < COUNT_OF; i++) {
        put(a, each, i, cases[_i].from);
    }
    memcpy(b, a, sizeof b);
    diff_finding found = compare(type, a, b, COUNT_OF);
    ck_assert_uint_eq(found.different, 0);
    ck_assert(found.largest < 0);
    put(b, each, AT, cases[_i].once);
    put(b, each, THEN, cases[_i].then);
    for (int turned = 0; turned < 2; turned++) {
        found = turned ? compare(type, b, a, COUNT_OF) : compare(type, a, b, COUNT_OF);
        ck_assert_uint_eq(found.different, 2);
        ck_assert_uint_eq(found.first, 5000 + AT);
        if (isnan(cases[_i].largest)) {
            ck_assert(found.largest < 0);
        } else {
            ck_assert_double_eq(found.largest, cases[_i].largest);
        }
    }
}
END_TEST

START_TEST(zeros_of_both_signs)
{
    const unsigned char a[4] = {0}, b[4] = {0, 0, 0, 0x80};
    const diff_finding found = compare(DTYPE_F32, a, b, 1);
    ck_assert_uint_eq(found.different, 1);
    ck_assert_double_eq(found.largest, 0);
}
END_TEST

static bool is_cancelled(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(cancelled)
{
    static unsigned char data[1 << 20];
    const monitor m = {.cancelled = is_cancelled};
    diff_finding found = {0};
    err e = {0};
    expect_error(diff_elements(DTYPE_U8, data, data, sizeof data, 0, &m, &found, &e), ERR_CANCELLED,
                 &e, "interrupted");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("diff_elements");
    tcase_add_loop_test(tc, the_largest_difference, 0, COUNT(cases));
    tcase_add_test(tc, zeros_of_both_signs);
    tcase_add_test(tc, cancelled);
    return run_tests("diff_elements", tc);
}
