/* The ideal of a file that was made from its source is the file itself; of another, what it should be. */
#include "tests/aid/store_case.h"
#include "verify/forward/ideal.h"

static ideal *of;

static void setup(void)
{
    err e = {0};
    store_case_setup();
    expect_ok(ideal_open(from_source, from_packed, &of, &e), &e);
}

static void teardown(void)
{
    ideal_close(of);
    of = NULL;
    store_case_end();
}

/* Read rows of a tensor both ways; what lies after them stays. */
static void expect_same(const store_tensor *t, uint64_t first, uint64_t rows)
{
    const size_t bytes = rows * t->row_bytes;
    const size_t scales = store_scale_count(t, rows);
    unsigned char *const data = calloc(2, bytes + 1);
    float *const of_blocks = calloc(2, (scales + 1) * sizeof(float));
    err e = {0};
    expect_ok(store_read(from_packed, t, first, rows, data, of_blocks, &e), &e);
    expect_ok(ideal_read(of, t, first, rows, data + bytes + 1, of_blocks + scales + 1, &e), &e);
    ck_assert_msg(memcmp(data, data + bytes + 1, bytes + 1) == 0, "%s", t->name);
    ck_assert_msg(memcmp(of_blocks, of_blocks + scales + 1, (scales + 1) * sizeof(float)) == 0,
                  "%s", t->name);
    free(data);
    free(of_blocks);
}

static void expect_all_same(void)
{
    for (size_t i = 0; i < from_packed->count; i++) {
        const store_tensor *const t = &from_packed->tensors[i];
        const uint64_t slice = t->ndim == 3 ? t->shape[1] : t->rows;
        for (uint64_t at = 0; t->row_bytes > 0 && at < t->rows; at += slice) {
            expect_same(t, at, slice);
            expect_same(t, at, 1); /* its block has more rows, which count */
            if (slice > 129) {
                expect_same(t, at + 128, 2);
                expect_same(t, at, 129);
            }
        }
    }
}

START_TEST(a_file_is_its_own_ideal)
{
    expect_all_same();
}
END_TEST

/* Whatever the file's codes and scales are. */
START_TEST(faults_are_not_in_it)
{
    const store_tensor *const t = store_find(from_packed, Q);
    const size_t bytes = t->rows * t->row_bytes;
    unsigned char *const data = malloc(2 * bytes);
    float scales[9];
    float others[9];
    err e = {0};
    expect_ok(store_read(from_packed, t, 0, t->rows, data, scales, &e), &e);
    packed.bytes[t->off + 5] ^= 1;
    packed.bytes[t->scale_off] ^= 1;
    scratch_write("p", packed.bytes, packed.length);
    expect_ok(store_read(from_packed, t, 0, t->rows, data + bytes, others, &e), &e);
    ck_assert_mem_ne(data, data + bytes, bytes);
    ck_assert_mem_ne(scales, others, sizeof scales);
    expect_ok(ideal_read(of, t, 0, t->rows, data + bytes, others, &e), &e);
    ck_assert_mem_eq(data, data + bytes, bytes);
    ck_assert_mem_eq(scales, others, sizeof scales);
    free(data);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ideal");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_file_is_its_own_ideal);
    tcase_add_test(tc, faults_are_not_in_it);
    return run_tests("ideal", tc);
}
