/* The ideal of numbers that the source has in another dtype, or in FP8: the nearest ones. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/aid/fp8_case.h"
#include "tests/aid/ideal_case.h"
#include "tests/aid/scratch.h"
#include "verify/forward/ideal_source.h"

static void setup(void)
{
    scratch_make();
    ck_assert_int_eq(mkdir(scratch("in"), 0777), 0);
    ck_assert_int_eq(mkdir(scratch("file"), 0777), 0);
}

/* Are the bits of a 16-bit number those of the nearest one to x? Those next to it are no nearer,
 * and at the same distance only if they are odd. */
static void expect_nearest(const made_tensor *t, uint64_t i, double x, const unsigned char *found)
{
    uint16_t bits = 0;
    memcpy(&bits, found, sizeof bits);
    const bool infinite = (bits & 0x7fff) == (t->type == DTYPE_F16 ? 0x7c00 : 0x7f80);
    ck_assert_int_eq(bits >> 15, signbit(x) != 0);
    const uint16_t near[] = {infinite ? (uint16_t)(bits - 1) : bits, (uint16_t)(bits - 1),
                             (uint16_t)(bits + 1)};
    double distance[COUNT(near)];
    for (int k = 0; k < COUNT(near); k++) {
        made_set_bits((made_tensor *)t, i, near[k]);
        distance[k] = fabs((double)made_value(t, i) - x);
    }
    if (infinite) { /* from half a step above the largest on, where that is odd */
        made_set_bits((made_tensor *)t, i, bits - 2U);
        const double step = distance[0] > 0 ? fabs((double)made_value(t, i) - x) - distance[0] : 0;
        ck_assert(isinf(x) || distance[0] >= step / 2);
        return;
    }
    const bool zero = (bits & 0x7fff) == 0;
    ck_assert(zero || distance[0] < distance[1] || (distance[0] == distance[1] && bits % 2 == 0));
    ck_assert(!(distance[2] <= distance[0]) || (distance[0] == distance[2] && bits % 2 == 0));
}

/* The numbers `x` of the source, rounded to the dtype of a tensor. */
static void expect_numbers(const ideal_case *c, const made_checkpoint *x, made_checkpoint *file)
{
    for (size_t k = 0; k < file->count; k++) {
        made_tensor *const t = &file->tensors[k];
        const made_tensor *const s = made_find(x, t->name);
        const store_tensor *const of = store_find(c->packed, t->name);
        ck_assert(!ideal_is_claimed(c->source, of)); /* it is no packed file */
        const ideal_rows r = ideal_rows_read(c, of, 0, of->rows);
        const uint64_t each = of->row_bytes / of->cols;
        for (uint64_t i = 0; i < t->elements; i++) {
            const float value = made_value(s, i);
            if (t->type == DTYPE_F32) {
                ck_assert_mem_eq(r.data + i * each, &value, each);
            } else {
                expect_nearest(t, i, (double)value, r.data + i * each);
            }
        }
        ck_assert_uint_eq(r.data[r.bytes - 1], 0xa5);
        ideal_rows_free(&r);
    }
}

/* Numbers close to ties: in F32, those of 16-bit types, and half a step and a little more. */
static void fill_near_ties(made_tensor *t, dtype other, uint64_t *state)
{
    static const uint32_t more[] = {0, 1, 0xffffffff};
    const uint32_t half = other == DTYPE_BF16 ? 1 << 15 : 1 << 12;
    made_fill(t, state, MADE_NARROW);
    for (uint64_t i = 0; t->type == DTYPE_F32 && i < t->elements; i += 2) {
        const uint32_t bits = oracle_bits(made_value(t, i)) & ~(2 * half - 1);
        made_set_bits(t, i, bits + half + more[i / 2 % 3]);
    }
}

START_TEST(other_dtypes)
{
    static const dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    const dtype of_source = types[_i / 3];
    const dtype of_file = types[_i % 3];
    uint64_t state = random_seed(_i);
    made_checkpoint x = {0};
    made_checkpoint file = {0};
    for (int i = 0; i < 5; i++) {
        static const unsigned ndim[] = {1, 2, 3, 2, 2};
        static const uint64_t shapes[][3] = {{77}, {5, 30}, {2, 3, 40}, {300, 70}, {2, 17000}};
        char name[] = "h.0.x0";
        name[5] = (char)('0' + i);
        made_tensor *const t = made_add(&x, name, of_source, ndim[i], shapes[i], false);
        if (i == 3) {
            made_fill(t, &state, MADE_WIDE);
        } else {
            fill_near_ties(t, of_file, &state);
        }
        made_add(&file, name, of_file, ndim[i], shapes[i], false);
    }
    made_write(&x, scratch("in"), 1);
    made_write(&file, scratch("file"), 1);
    const ideal_case c = ideal_case_open(scratch("in"), scratch("file"), 2);
    expect_numbers(&c, &x, &file);
    ideal_case_close(&c);
    made_free(&x);
    made_free(&file);
}
END_TEST

static const fp8_case blocks[] = {
    {"h.0.w1", "_scale_inv", DTYPE_F32, 2, {300, 200}, 48, 500, 0, {0}},
    {"h.0.w2", "_scale_inv", DTYPE_BF16, 2, {130, 700}, 48, 500, 0, {0}},
    {"h.0.w3", "_scale", DTYPE_F8_E8M0, 2, {1, 1}, 48, 500, 0, {0}},
    {"h.1.experts.w1", "_scale_inv", DTYPE_F16, 3, {3, 129, 257}, 48, 500, 0, {0}},
};

/* Numbers in the file, FP8 in the source. */
START_TEST(dequantized_numbers)
{
    static const dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    uint64_t state = random_seed(_i);
    made_checkpoint c = {0};
    made_checkpoint numbers = {0};
    made_checkpoint file = {0};
    for (int i = 0; i < COUNT(blocks); i++) {
        fp8_add(&c, &blocks[i], &state);
        fp8_add_wide(&numbers, &c, &blocks[i]);
        made_add(&file, blocks[i].name, types[_i], blocks[i].ndim, blocks[i].shape, false);
    }
    made_write(&c, scratch("in"), 1);
    fp8_write_config(48, 500);
    made_write(&file, scratch("file"), 1);
    const ideal_case k = ideal_case_open(scratch("in"), scratch("file"), 2);
    expect_numbers(&k, &numbers, &file);
    ideal_case_close(&k);
    made_free(&c);
    made_free(&numbers);
    made_free(&file);
}
END_TEST

/* Whatever has no number. */
START_TEST(what_is_not_finite_stays_so)
{
    const float x[] = {INFINITY, -INFINITY, oracle_float(0x7f800001), oracle_float(0xffc00000)};
    for (int i = 0; i < COUNT(x); i++) {
        uint16_t bits[2];
        ideal_round(DTYPE_BF16, &x[i], 1, (unsigned char *)&bits[0]);
        ideal_round(DTYPE_F16, &x[i], 1, (unsigned char *)&bits[1]);
        ck_assert_int_eq(bits[0] >> 15, i % 2);
        ck_assert_int_eq(bits[1] >> 15, i % 2);
        ck_assert(i < 2 ? (bits[0] & 0x7fff) == 0x7f80 : (bits[0] & 0x7fff) > 0x7f80);
        ck_assert(i < 2 ? (bits[1] & 0x7fff) == 0x7c00 : (bits[1] & 0x7fff) > 0x7c00);
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ideal_round");
    tcase_set_timeout(tc, 20);
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_loop_test(tc, other_dtypes, 0, 9);
    tcase_add_loop_test(tc, dequantized_numbers, 0, 3);
    tcase_add_test(tc, what_is_not_finite_stays_so);
    return run_tests("ideal_round", tc);
}
