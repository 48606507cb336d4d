/* Infinities and NaNs: which tensor is named, and how many there are of which type. */
#include <check.h>
#include <string.h>

#include "convert/stream/nonfinite.h"
#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"

typedef struct find {
    uint64_t source, count, first;
} find;

/* Parts of three tensors, as workers find them. */
static const find finds[] = {{7, 2, 500}, {3, 1, 90}, {3, 4, 20}, {9, 1, 0}, {3, 2, 70}, {7, 1, 3}};

/* Every order gives the same answer: the lowest tensor, its first element, all of them. */
START_TEST(order_of_finds_does_not_matter)
{
    uint64_t state = random_seed(_i);
    int order[COUNT(finds)] = {0};
    nonfinite_log log;
    for (int i = 0; i < COUNT(finds); i++) {
        const int k = (int)(oracle_random(&state) % (uint64_t)(i + 1));
        order[i] = order[k];
        order[k] = i;
    }
    nonfinite_open(&log);
    for (int i = 0; i < COUNT(finds); i++) {
        const find *const f = &finds[order[i]];
        nonfinite_report(&log, f->source, f->count, f->first);
    }
    ck_assert_uint_eq(log.source, 3);
    ck_assert_uint_eq(log.count, 7);
    ck_assert_uint_eq(log.first, 20);
    ck_assert(nonfinite_wanted(&log, 2));
    ck_assert(nonfinite_wanted(&log, 3));
    ck_assert(!nonfinite_wanted(&log, 4));
    nonfinite_close(&log);
}
END_TEST

START_TEST(nothing_found_everything_wanted)
{
    nonfinite_log log;
    nonfinite_open(&log);
    ck_assert_uint_eq(log.source, UINT64_MAX);
    ck_assert(nonfinite_wanted(&log, 0));
    ck_assert(nonfinite_wanted(&log, UINT64_MAX));
    nonfinite_report_kept(&log, 9, 1);
    nonfinite_report_kept(&log, 4, 10);
    nonfinite_report_kept(&log, 6, 100);
    ck_assert_uint_eq(log.kept_count, 111);
    ck_assert_uint_eq(log.kept_record, 4);
    ck_assert_uint_eq(log.source, UINT64_MAX);
    nonfinite_close(&log);
}
END_TEST

/* Edges of what is finite, for each width; `bits` at every place of a row of finite numbers. */
static const struct {
    dtype type;
    unsigned bytes;
    uint64_t bits;
    uint64_t count;
} values[] = {
    {DTYPE_BF16, 2, 0x7f80, 1},
    {DTYPE_BF16, 2, 0xff80, 1},
    {DTYPE_BF16, 2, 0x7f81, 1},
    {DTYPE_BF16, 2, 0xffff, 1},
    {DTYPE_BF16, 2, 0x7f7f, 0},
    {DTYPE_BF16, 2, 0x8000, 0},
    {DTYPE_F16, 2, 0x7c00, 1},
    {DTYPE_F16, 2, 0xfc01, 1},
    {DTYPE_F16, 2, 0x7bff, 0},
    {DTYPE_F16, 2, 0x83ff, 0},
    {DTYPE_F32, 4, 0x7f800000, 1},
    {DTYPE_F32, 4, 0xff800001, 1},
    {DTYPE_F32, 4, 0x7f7fffff, 0},
    {DTYPE_F32, 4, 0x80000001, 0},
    {DTYPE_F64, 8, 0x7ff0000000000000, 1},
    {DTYPE_F64, 8, 0xfff0000000000001, 1},
    {DTYPE_F64, 8, 0x7fefffffffffffff, 0},
    {DTYPE_C64, 8, 0x7f80000000000000, 1}, /* the imaginary part */
    {DTYPE_C64, 8, 0x000000007f800000, 1},
    {DTYPE_C64, 8, 0xffffffff7f800000, 2},
    {DTYPE_I32, 4, 0x7f800000, 0},
    {DTYPE_U16, 2, 0xffff, 0},
    {DTYPE_BOOL, 1, 0xff, 0},
    {DTYPE_F8_E4M3, 1, 0x7f, 0},
    {DTYPE_F8_E5M2, 1, 0x7c, 0},
    {DTYPE_F4, 1, 0xff, 0},
};

START_TEST(value_is_counted)
{
    enum { ROOM = 77 * 8 };
    _Alignas(64) unsigned char row[ROOM];
    const unsigned each = values[_i].bytes;
    for (unsigned at = 0; at + each <= ROOM; at += each) {
        memset(row, 0x3c, sizeof row);
        for (unsigned i = 0; i < each; i++) {
            row[at + i] = (unsigned char)(values[_i].bits >> (8 * i));
        }
        const uint64_t found = nonfinite_count(values[_i].type, row, sizeof row);
        ck_assert_msg(found == values[_i].count, "%s %llx at %u: %llu", dtype_name(values[_i].type),
                      (unsigned long long)values[_i].bits, at, (unsigned long long)found);
        ck_assert_uint_eq(nonfinite_count(values[_i].type, row, at), 0); /* and not after the end */
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("nonfinite");
    tcase_add_loop_test(tc, order_of_finds_does_not_matter, 0, 20);
    tcase_add_test(tc, nothing_found_everything_wanted);
    tcase_add_loop_test(tc, value_is_counted, 0, COUNT(values));
    return run_tests("nonfinite", tc);
}
