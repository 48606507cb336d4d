/* The scales of a layer: gathered in two buffers, written as one run when its last code is. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "convert/stream/scale_runs.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"
#include "tests/aid/scratch.h"

/* Layers 0 to 3 with two quantized tensors each, one of them a stack, and one outside the layers.
 */
typedef struct site {
    pack_table table;
    work_list work;
    pack_evidence evidence;
    output *out;
    scale_runs *runs;
} site;

static site s;

static void setup_with(const monitor *m)
{
    err e = {0};
    s = (site){.table = table_with_room(24)};
    table_add_codes(&s.table, "a", DTYPE_BF16, 2, (uint64_t[]){300, 300});
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "layers.%d.experts.*.w", i);
        table_add_codes(&s.table, name, DTYPE_BF16, 3, (uint64_t[]){5, 200, 300});
        snprintf(name, sizeof name, "layers.%d.v", i);
        table_add_codes(&s.table, name, DTYPE_F32, 2, (uint64_t[]){129, 1000});
        snprintf(name, sizeof name, "layers.%d.norm", i);
        table_add(&s.table, name, DTYPE_F32, 1, (uint64_t[]){3});
    }
    expect_ok(pack_table_sort(&s.table, &e), &e);
    expect_ok(pack_table_place(&s.table, 65536, &e), &e);
    expect_ok(work_list_make(&s.table, 2 * 200 * 300, 129000 + 300, &s.work, &e), &e);
    expect_ok(pack_evidence_create(&s.table, DIGEST_SHA256, &s.evidence, &e), &e);
    expect_ok(output_open(scratch("out"), false, &s.out, &e), &e);
    expect_ok(scale_runs_open(&s.table, &s.work, m, &s.runs, &e), &e);
}

static void setup(void)
{
    scratch_make();
    setup_with(NULL);
}

static void take_down(void)
{
    scale_runs_close(s.runs);
    output_abandon(&s.out);
    pack_evidence_free(&s.evidence);
    work_list_free(&s.work);
    pack_table_free(&s.table);
}

static void teardown(void)
{
    take_down();
    scratch_remove();
}

static bool is_codes(const work_item *w)
{
    return s.table.records[w->record].cls == CLASS_CODES;
}

/* Where the scales of record `number` belong, and what this test puts there. */
static float value_of(uint32_t number, uint64_t i)
{
    return (float)number * 1000 + (float)i;
}

static uint64_t scale_count(uint32_t number)
{
    return s.table.records[s.table.records[number].scale_idx].len / 4;
}

static void fill_record(uint32_t number)
{
    void *room = NULL;
    err e = {0};
    expect_ok(scale_runs_acquire(s.runs, number, &room, &e), &e);
    float *const scales = room;
    ck_assert_uint_eq((uintptr_t)scales % sizeof *scales, 0);
    for (uint64_t i = 0; i < scale_count(number); i++) {
        scales[i] = value_of(number, i);
    }
}

static void finish(uint32_t number)
{
    err e = {0};
    expect_ok(scale_runs_finish(s.runs, number, s.out, &s.evidence, &e), &e);
}

/* The scales of a record in the file, and their digest. */
static bool is_written(uint32_t number)
{
    const pack_record *const r = &s.table.records[s.table.records[number].scale_idx];
    unsigned char digest[DIGEST_MAX];
    float *const found = calloc(1, r->len);
    const bool there =
        pread(output_descriptor(s.out), found, r->len, (off_t)r->off) == (ssize_t)r->len &&
        found[1] != 0;
    if (there) {
        for (uint64_t i = 0; i < scale_count(number); i++) {
            ck_assert(found[i] == value_of(number, i));
        }
        expect_ok(digest_sha256(found, r->len, digest, NULL), NULL);
        ck_assert_mem_eq(digest, pack_evidence_chunk(&s.evidence, r->chunk_first), 32);
    }
    free(found);
    return there;
}

/* ---- one thread ------------------------------------------------ */

START_TEST(size_is_that_of_the_largest_layer)
{
    /* v: 2 x 8 floats; w: 5 x 2 x 3 floats from the next multiple of 256 on */
    ck_assert_uint_eq(scale_runs_bytes(&s.table), 2 * (256 + 64));
    pack_table none = table_with_room(1);
    err e = {0};
    table_add(&none, "a", DTYPE_F32, 1, (uint64_t[]){3});
    expect_ok(pack_table_sort(&none, &e), &e);
    expect_ok(pack_table_place(&none, 65536, &e), &e);
    ck_assert_uint_eq(scale_runs_bytes(&none), 0);
    pack_table_free(&none);
}
END_TEST

START_TEST(layers_are_written_one_after_another)
{
    for (uint64_t i = 0; i < s.work.count; i++) {
        const work_item *const w = &s.work.items[i];
        if (!is_codes(w)) {
            continue;
        }
        const bool last = i + 1 == s.work.count ||
                          s.table.records[w[1].record].layer != s.table.records[w->record].layer;
        fill_record(w->record);
        ck_assert(!is_written(w->record));
        finish(w->record);
        ck_assert_int_eq(is_written(w->record), last);
    }
    for (uint32_t i = 0; i < s.table.count; i++) {
        ck_assert(s.table.records[i].cls != CLASS_CODES || is_written(i));
    }
}
END_TEST

/* Items of layers `from` up to, not including, `to` will never be done; -1: outside layers. */
static void skip_layers(int64_t from, int64_t to)
{
    for (uint64_t i = 0; i < s.work.count; i++) {
        const work_item *const w = &s.work.items[i];
        const int64_t layer = s.table.records[w->record].layer;
        if (is_codes(w) && layer >= from && layer < to) {
            finish(w->record);
        }
    }
}

/* Items that are done out of order; between two records of a run are zeros. */
START_TEST(order_within_a_layer_is_free)
{
    const pack_record *const v = pack_table_find(&s.table, "layers.2.v");
    const pack_record *const w = pack_table_find(&s.table, "layers.2.experts.*.w");
    const uint32_t first = (uint32_t)(w - s.table.records);
    const uint32_t second = (uint32_t)(v - s.table.records);
    int items[2] = {0, 0};
    for (uint64_t i = 0; i < s.work.count; i++) {
        items[0] += s.work.items[i].record == first;
        items[1] += s.work.items[i].record == second;
    }
    ck_assert_int_gt(items[0], 1);
    skip_layers(-1, 2);
    fill_record(second);
    fill_record(first);
    for (int i = 0; i < items[0]; i++) {
        ck_assert(!is_written(first));
        finish(first);
    }
    ck_assert(!is_written(second));
    finish(second);
    ck_assert(is_written(first) && is_written(second));
    const pack_record *const lower = &s.table.records[w->scale_idx];
    const pack_record *const upper = &s.table.records[v->scale_idx];
    unsigned char gap[256];
    const uint64_t bytes = upper->off - lower->off - lower->len;
    ck_assert_uint_gt(bytes, 0);
    ck_assert_int_eq(pread(output_descriptor(s.out), gap, bytes, (off_t)(lower->off + lower->len)),
                     (int)bytes);
    ck_assert(pack_all_zero(gap, bytes));
}
END_TEST

/* After a refusal, items are finished that were never acquired: nothing is written for them. */
START_TEST(skipped_items_are_not_written)
{
    for (uint64_t i = 0; i < s.work.count; i++) {
        if (is_codes(&s.work.items[i])) {
            finish(s.work.items[i].record);
            ck_assert(!is_written(s.work.items[i].record));
        }
    }
}
END_TEST

/* ---- waiting --------------------------------------------------- */

typedef struct waiter {
    uint32_t record;
    atomic_bool done;
    err_code code;
} waiter;

static void *wait_for_buffer(void *arg)
{
    waiter *const w = arg;
    void *scales = NULL;
    w->code = scale_runs_acquire(s.runs, w->record, &scales, NULL);
    w->done = true;
    return NULL;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Take both buffers, for "a" and layer 0, and start a thread that needs a third for layer 1. */
static pthread_t start_waiter(waiter *w)
{
    pthread_t thread;
    fill_record((uint32_t)(pack_table_find(&s.table, "a") - s.table.records));
    fill_record((uint32_t)(pack_table_find(&s.table, "layers.0.v") - s.table.records));
    w->record = (uint32_t)(pack_table_find(&s.table, "layers.1.v") - s.table.records);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_buffer, w), 0);
    sleep_ms(150);
    ck_assert(!w->done);
    return thread;
}

START_TEST(third_layer_waits_for_a_buffer)
{
    waiter w = {0};
    const pthread_t thread = start_waiter(&w);
    const uint32_t a = (uint32_t)(pack_table_find(&s.table, "a") - s.table.records);
    for (uint64_t i = 0; i < s.work.count; i++) {
        if (s.work.items[i].record == a) {
            ck_assert(!w.done);
            finish(a);
        }
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(w.code, OK);
    ck_assert(is_written(a));
}
END_TEST

/* Both buffers are free, but layer 0 comes first: it begins, or there is nothing left of it to do.
 */
START_TEST(later_layer_waits_for_an_earlier_one)
{
    const uint32_t zero = (uint32_t)(pack_table_find(&s.table, "layers.0.v") - s.table.records);
    waiter w = {.record = (uint32_t)(pack_table_find(&s.table, "layers.1.v") - s.table.records)};
    pthread_t thread;
    skip_layers(-1, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_buffer, &w), 0);
    sleep_ms(150);
    ck_assert(!w.done);
    if (_i == 0) {
        fill_record(zero);
    } else {
        skip_layers(0, 1);
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(w.code, OK);
}
END_TEST

START_TEST(failure_wakes_who_waits)
{
    waiter w = {0};
    const pthread_t thread = start_waiter(&w);
    scale_runs_stop(s.runs);
    pthread_join(thread, NULL);
    ck_assert_int_eq(w.code, ERR_CANCELLED);
}
END_TEST

static bool is_set(void *ctx)
{
    return *(atomic_bool *)ctx;
}

START_TEST(cancellation_wakes_who_waits)
{
    atomic_bool stop = false;
    const monitor m = {.cancelled = is_set, .ctx = &stop};
    waiter w = {0};
    take_down();
    setup_with(&m);
    const pthread_t thread = start_waiter(&w);
    stop = true;
    pthread_join(thread, NULL);
    ck_assert_int_eq(w.code, ERR_CANCELLED);
}
END_TEST

/* The file cannot be written: the error comes out of the finish that completes the run. */
START_TEST(write_failure_is_reported)
{
    const uint32_t a = (uint32_t)(pack_table_find(&s.table, "a") - s.table.records);
    err e = {0};
    fill_record(a);
    close(output_descriptor(s.out));
    for (uint64_t i = 0; i < s.work.count; i++) {
        const bool last = s.work.items[i].record == a && s.work.items[i + 1].record != a;
        if (last) {
            expect_error(scale_runs_finish(s.runs, a, s.out, &s.evidence, &e), ERR_IO, &e,
                         "cannot write");
        } else if (s.work.items[i].record == a) {
            finish(a);
        }
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("scale_runs");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, size_is_that_of_the_largest_layer);
    tcase_add_test(tc, layers_are_written_one_after_another);
    tcase_add_test(tc, order_within_a_layer_is_free);
    tcase_add_test(tc, skipped_items_are_not_written);
    tcase_add_test(tc, third_layer_waits_for_a_buffer);
    tcase_add_loop_test(tc, later_layer_waits_for_an_earlier_one, 0, 2);
    tcase_add_test(tc, failure_wakes_who_waits);
    tcase_add_test(tc, cancellation_wakes_who_waits);
    tcase_add_test(tc, write_failure_is_reported);
    return run_tests("scale_runs", tc);
}
