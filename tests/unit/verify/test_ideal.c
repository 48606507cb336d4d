/* The ideal of a file that was made from its source is the file itself; of another one, what it
 * should be. What quantized sources have is in test_ideal_source.c. */
#include "tests/aid/cancel_each.h"
#include "tests/aid/ideal_case.h"
#include "tests/aid/store_case.h"

static ideal_case c;

static void setup(void)
{
    store_case_setup();
    c = ideal_case_open(scratch("source"), scratch("p"), 2);
}

static void teardown(void)
{
    ideal_case_close(&c);
    store_case_end();
}

START_TEST(a_file_is_its_own_ideal)
{
    ideal_case_expect_own(&c);
}
END_TEST

/* Whatever the file's codes and scales are. */
START_TEST(faults_are_not_in_it)
{
    const store_tensor *const t = store_find(c.packed, Q);
    const ideal_rows before = ideal_rows_new(t, t->rows);
    const ideal_rows after = ideal_rows_new(t, t->rows);
    err e = {0};
    expect_ok(store_read(c.packed, t, 0, t->rows, before.data, before.scales, &e), &e);
    packed.bytes[t->off + 5] ^= 1;
    packed.bytes[t->scale_off] ^= 1;
    scratch_write("p", packed.bytes, packed.length);
    expect_ok(store_read(c.packed, t, 0, t->rows, after.data, after.scales, &e), &e);
    ck_assert_mem_ne(before.data, after.data, after.bytes);
    ck_assert_mem_ne(before.scales, after.scales, after.count);
    const ideal_rows right = ideal_rows_read(&c, t, 0, t->rows);
    ck_assert_mem_eq(before.data, right.data, right.bytes);
    ck_assert_mem_eq(before.scales, right.scales, right.count);
    ideal_rows_free(&before);
    ideal_rows_free(&after);
    ideal_rows_free(&right);
}
END_TEST

/* ---- what cannot be read --------------------------------------- */

static void expect_refused(const store_tensor *t, uint64_t first, uint64_t rows, err_code code,
                           const char *part)
{
    const ideal_rows r = ideal_rows_new(t, rows);
    err e = {0};
    expect_error(ideal_read(c.of, t, first, rows, r.data, r.scales, &e), code, &e, part);
    ideal_rows_free(&r);
}

START_TEST(rows_that_no_store_reads)
{
    const store_tensor *const stack = find(c.packed, FUSED);
    const store_tensor *const q = find(c.packed, Q);
    expect_refused(stack, 0, 131, ERR_INPUT, "its slices of 130 rows cannot be read together");
    expect_refused(stack, 128, 3, ERR_INPUT, "its slices of 130 rows cannot be read together");
    expect_refused(stack, 131, 1, ERR_INTERNAL, "inside a block");
    expect_refused(q, 1, 1, ERR_INTERNAL, "inside a block");
    expect_refused(q, 256, 45, ERR_INTERNAL, "beyond its end");
    expect_refused(q, 512, 0, ERR_INTERNAL, "beyond its end");
    expect_refused(find(c.packed, NORM), 1, 1, ERR_INTERNAL, "beyond its end");
}
END_TEST

/* The source as it is, and a packed file that was made from another. */
static void expect_other(const small_tensor *other, err_code code, const char *part)
{
    const small_model made = {other, 1, TEXT, 3};
    write_packed(&made, false);
    ideal_case_close(&c);
    c = ideal_case_open(scratch("source"), scratch("p"), 1);
    expect_refused(&c.packed->tensors[0], 0, 1, code, part);
}

START_TEST(other_models)
{
    static const small_tensor others[] = {
        {LAYER "missing.weight", DTYPE_BF16, 2, {3, 5}, true},
        {Q, DTYPE_F32, 2, {300, 301}, true},
        {Q, DTYPE_F32, 3, {300, 300, 1}, true},
        {NORM, DTYPE_I16, 1, {41}, false},
        {LAYER "mlp.experts.1a", DTYPE_BF16, 2, {3, 7}, true},
    };
    expect_other(&others[0], ERR_DIFFERENT, "source: no tensor " LAYER "missing.weight");
    expect_other(&others[1], ERR_DIFFERENT, "has another shape than in");
    expect_other(&others[2], ERR_DIFFERENT, "has another shape than in");
    expect_other(&others[3], ERR_DIFFERENT, "F16 cannot become I16 as in");
    expect_other(&others[4], ERR_DIFFERENT, "U8 cannot become F8_E4M3 as in");
}
END_TEST

/* ---- cancellation ---------------------------------------------- */

typedef struct reading {
    const store_tensor *t;
    ideal_rows to;
} reading;

static err_code read_all(void *ctx, const monitor *m, err *e)
{
    const reading *const r = ctx;
    ideal *d = NULL;
    err_code code = ideal_open(c.source, c.packed, 2, m, &d, e);
    if (code == OK) {
        code = ideal_read(d, r->t, 0, r->t->rows, r->to.data, r->to.scales, e);
    }
    ideal_close(d);
    return code;
}

/* Opening asks, and so does each batch of 8 MiB of source. */
START_TEST(reading_can_be_cancelled)
{
    static const small_tensor large = {Q, DTYPE_F32, 2, {9 * 128, 5000}, true};
    const small_model made = {&large, 1, TEXT, 3};
    small_checkpoint_write(&made, scratch("source"));
    write_packed(&made, false);
    ideal_case_close(&c);
    c = ideal_case_open(scratch("source"), scratch("p"), 1);
    const store_tensor *const t = find(c.packed, Q);
    reading opening = {.t = t};
    const store_tensor nothing = {.name = t->name, .ndim = 2, .shape = {9 * 128, 5000}};
    opening.t = &nothing;
    const uint64_t before = cancel_each(read_all, &opening);
    reading r = {.t = t, .to = ideal_rows_new(t, t->rows)};
    ck_assert_uint_eq(cancel_each(read_all, &r), before + 3);
    ideal_rows_free(&r.to);
    ideal_case_expect_own(&c);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ideal");
    tcase_set_timeout(tc, 20);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_file_is_its_own_ideal);
    tcase_add_test(tc, faults_are_not_in_it);
    tcase_add_test(tc, rows_that_no_store_reads);
    tcase_add_test(tc, other_models);
    tcase_add_test(tc, reading_can_be_cancelled);
    return run_tests("ideal", tc);
}
