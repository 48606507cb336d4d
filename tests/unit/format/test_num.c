/* Checked arithmetic at its edges, and little-endian loads and stores. */
#include <check.h>
#include <stdlib.h>

#include "format/base/num.h"
#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"

START_TEST(add_says_no)
{
    uint64_t sum = 0;
    ck_assert(num_add(UINT64_MAX, 0, &sum));
    ck_assert_uint_eq(sum, UINT64_MAX);
    ck_assert(num_add(UINT64_MAX - 5, 5, &sum));
    ck_assert(!num_add(UINT64_MAX, 1, &sum));
    ck_assert(!num_add(UINT64_MAX, UINT64_MAX, &sum));
}
END_TEST

START_TEST(mul_says_no)
{
    uint64_t product = 0;
    ck_assert(num_mul(UINT32_MAX, UINT32_MAX, &product));
    ck_assert_uint_eq(product, 0xfffffffe00000001u);
    ck_assert(num_mul(UINT64_MAX, 1, &product));
    ck_assert(num_mul(UINT64_MAX, 0, &product));
    ck_assert_uint_eq(product, 0);
    ck_assert(!num_mul(1ull << 32, 1ull << 32, &product));
    ck_assert(!num_mul(UINT64_MAX, 2, &product));
}
END_TEST

static const struct {
    uint64_t a, unit, aligned;
    bool fits;
} alignments[] = {
    {0, 4096, 0, true},
    {1, 4096, 4096, true},
    {4095, 4096, 4096, true},
    {4096, 4096, 4096, true},
    {4097, 4096, 8192, true},
    {10, 3, 12, true},
    {7, 1, 7, true},
    {UINT64_MAX, 1, UINT64_MAX, true},
    {UINT64_MAX - 4095, 4096, UINT64_MAX - 4095, true},
    {UINT64_MAX - 4094, 4096, 0, false},
    {UINT64_MAX, 65536, 0, false},
    {1, UINT64_MAX, UINT64_MAX, true},
};

START_TEST(align_up)
{
    uint64_t aligned = 0;
    ck_assert(num_align_up(alignments[_i].a, alignments[_i].unit, &aligned) == alignments[_i].fits);
    if (alignments[_i].fits) {
        ck_assert_uint_eq(aligned, alignments[_i].aligned);
    }
}
END_TEST

START_TEST(ceil_div_does_not_wrap)
{
    ck_assert_uint_eq(num_ceil_div(0, 128), 0);
    ck_assert_uint_eq(num_ceil_div(1, 128), 1);
    ck_assert_uint_eq(num_ceil_div(128, 128), 1);
    ck_assert_uint_eq(num_ceil_div(129, 128), 2);
    ck_assert_uint_eq(num_ceil_div(UINT64_MAX, 1), UINT64_MAX);
    ck_assert_uint_eq(num_ceil_div(UINT64_MAX, 2), 1ull << 63);
    ck_assert_uint_eq(num_ceil_div(UINT64_MAX, UINT64_MAX), 1);
}
END_TEST

START_TEST(min_and_max)
{
    ck_assert_uint_eq(num_min(3, UINT64_MAX), 3);
    ck_assert_uint_eq(num_min(UINT64_MAX, 3), 3);
    ck_assert_uint_eq(num_max(3, UINT64_MAX), UINT64_MAX);
    ck_assert_uint_eq(num_max(UINT64_MAX, 3), UINT64_MAX);
    ck_assert_uint_eq(MIB, 1048576);
    ck_assert_uint_eq(GIB, 1073741824);
}
END_TEST

START_TEST(bytes_are_little_endian)
{
    const unsigned char bytes[] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xff};
    ck_assert_uint_eq(le16_load(bytes), 0x7788);
    ck_assert_uint_eq(le32_load(bytes), 0x55667788);
    ck_assert_uint_eq(le64_load(bytes), 0x1122334455667788);
    ck_assert_uint_eq(le64_load(bytes + 1), 0xff11223344556677);
}
END_TEST

/* Stores at odd addresses touch their own bytes only. */
START_TEST(stores_stay_inside)
{
    uint64_t state = 17;
    for (int i = 0; i < 1000; i++) {
        const uint64_t v = oracle_random(&state);
        unsigned char room[16];
        memset(room, 0xaa, sizeof room);
        le16_store(room + 1, (uint16_t)v);
        le32_store(room + 4, (uint32_t)v);
        ck_assert_uint_eq(le16_load(room + 1), (uint16_t)v);
        ck_assert_uint_eq(le32_load(room + 4), (uint32_t)v);
        ck_assert_uint_eq(room[0], 0xaa);
        ck_assert_uint_eq(room[3], 0xaa);
        ck_assert_uint_eq(room[8], 0xaa);
        le64_store(room + 7, v);
        ck_assert_uint_eq(le64_load(room + 7), v);
        ck_assert_uint_eq(room[15], 0xaa);
    }
}
END_TEST

START_TEST(floats_keep_their_bits)
{
    static const unsigned char one[] = {0, 0, 0x80, 0x3f};
    static const unsigned char half[] = {0, 0, 0, 0, 0, 0, 0xe0, 0x3f};
    unsigned char room[8];
    ck_assert_float_eq(le_float_load(one), 1);
    ck_assert_double_eq(le_double_load(half), 0.5);
    le_float_store(room, 1);
    ck_assert_mem_eq(room, one, sizeof one);
    le_double_store(room, 0.5);
    ck_assert_mem_eq(room, half, sizeof half);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("num");
    tcase_add_test(tc, add_says_no);
    tcase_add_test(tc, mul_says_no);
    tcase_add_loop_test(tc, align_up, 0, COUNT(alignments));
    tcase_add_test(tc, ceil_div_does_not_wrap);
    tcase_add_test(tc, min_and_max);
    tcase_add_test(tc, bytes_are_little_endian);
    tcase_add_test(tc, stores_stay_inside);
    tcase_add_test(tc, floats_keep_their_bits);
    return run_tests("num", tc);
}
