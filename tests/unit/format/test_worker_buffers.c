/* Buffers of workers: as many as the memory allows, each a page of its own, parts without overlap. */
#include <check.h>
#include <stdint.h>
#include <string.h>

#include "format/thread/worker_buffers.h"
#include "tests/aid/expect.h"

static worker_need need_of(uint64_t memory, unsigned threads)
{
    return (worker_need){.task = "comparing a piece",
                         .tensor = "big",
                         .memory = memory,
                         .threads = threads,
                         .bytes = {4096, 8192, 0, 100}};
}

enum { EACH = 4096 + 8192 + 100 };

static const struct {
    uint64_t memory;
    unsigned threads, workers;
} budgets[] = {
    {EACH, 8, 1}, {2 * EACH - 1, 8, 1}, {2 * EACH, 8, 2}, {100 * EACH, 3, 3}, {UINT64_MAX, 1, 1}};

START_TEST(as_many_as_the_memory_allows)
{
    worker_buffers b = {0};
    err e = {0};
    const worker_need need = need_of(budgets[_i].memory, budgets[_i].threads);
    expect_ok(worker_buffers_create(&b, &need, &e), &e);
    ck_assert_uint_eq(b.workers, budgets[_i].workers);
    worker_buffers_free(&b);
    ck_assert_ptr_null(b.of);
}
END_TEST

/* A sanitizer sees writes beyond the end; here each byte keeps what its own part put there. */
START_TEST(parts_do_not_overlap)
{
    worker_buffers b = {0};
    err e = {0};
    const worker_need need = need_of(3 * EACH, 3);
    expect_ok(worker_buffers_create(&b, &need, &e), &e);
    for (unsigned w = 0; w < 3; w++) {
        for (unsigned part = 0; part < WORKER_PARTS_MAX; part++) {
            memset(worker_buffers_part(&b, w, part), (int)(16 * w + part), need.bytes[part]);
        }
    }
    for (unsigned w = 0; w < 3; w++) {
        ck_assert_uint_eq((uintptr_t)worker_buffers_part(&b, w, 0) % WORKER_BUFFER_ALIGN, 0);
        ck_assert_uint_eq((uintptr_t)worker_buffers_part(&b, w, 1) % WORKER_BUFFER_ALIGN, 0);
        for (unsigned part = 0; part < WORKER_PARTS_MAX; part++) {
            const unsigned char *const data = worker_buffers_part(&b, w, part);
            for (uint64_t i = 0; i < need.bytes[part]; i++) {
                ck_assert_uint_eq(data[i], 16 * w + part);
            }
        }
    }
    worker_buffers_free(&b);
}
END_TEST

START_TEST(one_that_is_too_large_is_refused)
{
    worker_buffers b = {0};
    err e = {0};
    const worker_need need = need_of(EACH - 1, 8);
    expect_error(worker_buffers_create(&b, &need, &e), ERR_MEMORY, &e,
                 "tensor big: comparing a piece takes buffers of 12388 bytes, 12387 are allowed");
    worker_buffers_free(&b);
}
END_TEST

START_TEST(sums_do_not_wrap_around)
{
    worker_buffers b = {0};
    err e = {0};
    const worker_need need = {.task = "it",
                              .tensor = "huge",
                              .memory = UINT64_MAX - 1,
                              .threads = 1,
                              .bytes = {UINT64_MAX, 2}};
    ck_assert_int_eq(worker_buffers_create(&b, &need, &e), ERR_MEMORY);
    worker_buffers_free(&b);
}
END_TEST

START_TEST(nothing_to_hold_takes_one_worker)
{
    worker_buffers b = {0};
    err e = {0};
    const worker_need need = {.task = "it", .tensor = "", .memory = 0, .threads = 8};
    expect_ok(worker_buffers_create(&b, &need, &e), &e);
    ck_assert_uint_eq(b.workers, 1);
    ck_assert_ptr_nonnull(worker_buffers_part(&b, 0, 0));
    worker_buffers_free(&b);
    worker_buffers_free(&b);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("worker_buffers");
    tcase_add_loop_test(tc, as_many_as_the_memory_allows, 0, COUNT(budgets));
    tcase_add_test(tc, parts_do_not_overlap);
    tcase_add_test(tc, one_that_is_too_large_is_refused);
    tcase_add_test(tc, sums_do_not_wrap_around);
    tcase_add_test(tc, nothing_to_hold_takes_one_worker);
    return run_tests("worker_buffers", tc);
}
