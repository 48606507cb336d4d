/* The guard of an engine that fails: the CPU takes over with the same bytes, or the failure is
 * passed on. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/aid/guard_case.h"

enum { SLOTS = 3 };

/* Whichever slot fails, at whichever call, all slots give the right bytes. */
START_TEST(taken_over)
{
    enum { CALLS = SLOTS * BATCH_ROUNDS };
    batch b = batch_new();
    for (unsigned n = 1; n <= CALLS; n += SANITIZED ? 6 : 1) {
        for (unsigned how = 0; how < 4; how++) {
            const guarded t = open_guarded(&b, SLOTS, 0.05, true);
            char what[64];
            snprintf(what, sizeof what, "%s %u%s", how % 2 ? "wait" : "submit", n,
                     how / 2 ? " and all later" : "");
            t.f->plan = (faulty_plan){.submit = how % 2 ? 0 : n,
                                      .wait = how % 2 ? n : 0,
                                      .dead = how / 2,
                                      .code = ERR_GPU};
            batch_expect(t.g, &b, what);
            const char *const failure = engine_guard_failure(t.g);
            ck_assert_msg(failure && strcmp(failure, FAULTY_TEXT) == 0, "%s: not noted", what);
            engine_close(t.g);
        }
    }
    batch_free(&b);
}
END_TEST

/* The slot that failed never uses the engine again, other slots do; its tiles are not checked. */
START_TEST(own_slot_only)
{
    batch b = batch_new();
    batch_run r = batch_run_new(&b);
    for (unsigned n = 1; n <= 2; n++) {
        err e = {0};
        const guarded t = open_guarded(&b, 2, 1, true);
        t.f->plan = (faulty_plan){.submit = n == 1, .wait = n == 2, .code = ERR_GPU};
        for (unsigned round = 1; round <= 3; round++) {
            for (unsigned i = 0; i < 2; i++) {
                expect_ok(batch_run_slot(&r, t.g, &t.g->slots[i], &e), &e);
                ck_assert(batch_run_same(&r, &t.g->slots[i]));
            }
        }
        /* Slot 0 failed at its submit, or slot 1 at its wait. */
        ck_assert_uint_eq(atomic_load(&t.f->submits), 4);
        ck_assert_uint_eq(atomic_load(&t.f->waits), n == 1 ? 3 : 4);
        ck_assert_uint_eq(engine_guard_checked(t.g), 3 * b.tiles);
        engine_close(t.g);
    }
    batch_run_free(&r);
    batch_free(&b);
}
END_TEST

/* An error that is not taken over is passed on, and the next round uses the engine again. */
static void expect_passed_on(faulty_plan plan, bool take_over)
{
    err e = {0};
    small s;
    small_open(&s, 100, 200, 1, take_over);
    s.t.f->plan = plan;
    ck_assert_int_eq(small_run(&s, &e), plan.code);
    ck_assert_int_eq(e.code, plan.code);
    ck_assert_str_eq(e.text, FAULTY_TEXT);
    ck_assert_str_eq(e.hint, FAULTY_HINT);
    ck_assert_ptr_null(engine_guard_failure(s.t.g));
    e = (err){0};
    expect_ok(engine_wait(s.t.g, s.t.slot, &e), &e); /* nothing was submitted */
    ck_assert_uint_eq(engine_guard_checked(s.t.g), 0);
    expect_ok(small_run(&s, &e), &e);
    ck_assert_uint_eq(s.t.slot->out[0], 0x7e);
    ck_assert_uint_eq(engine_guard_checked(s.t.g), 2);
    ck_assert_uint_eq(atomic_load(&s.t.f->submits), 2);
    small_close(&s);
}

START_TEST(passed_on)
{
    static const err_code others[] = {ERR_IO, ERR_MEMORY, ERR_INTERNAL, ERR_CANCELLED};
    for (unsigned submit = 0; submit <= 1; submit++) {
        faulty_plan plan = {.submit = submit, .wait = 1 - submit, .code = ERR_GPU};
        expect_passed_on(plan, false);
        for (int i = 0; i < COUNT(others); i++) {
            plan.code = others[i];
            expect_passed_on(plan, true);
        }
    }
}
END_TEST

/* The first error of the caller stays, and the caller need not ask for one. */
START_TEST(errors_of_the_caller)
{
    err e = {0};
    small s;
    small_open(&s, 1, 1, 1, false);
    s.t.f->plan = (faulty_plan){.submit = 1, .dead = true, .code = ERR_GPU};
    err_set(&e, ERR_IO, "disk full");
    ck_assert_int_eq(small_run(&s, &e), ERR_GPU);
    ck_assert_int_eq(e.code, ERR_IO);
    ck_assert_str_eq(e.text, "disk full");
    ck_assert_int_eq(small_run(&s, NULL), ERR_GPU);
    small_close(&s);
}
END_TEST

/* Waiting without work, no jobs, and waiting twice; before and after the other engine fails. */
START_TEST(nothing_to_do)
{
    err e = {0};
    small s;
    small_open(&s, 1, 1, 1, true);
    for (uint64_t round = 0; round < 2; round++) {
        expect_ok(engine_wait(s.t.g, s.t.slot, &e), &e);
        expect_ok(run_jobs(&s.t, NULL, 0, &e), &e);
        ck_assert_uint_eq(engine_guard_checked(s.t.g), round);
        expect_ok(small_run(&s, &e), &e);
        ck_assert_uint_eq(s.t.slot->out[0], 0x7e);
        s.t.slot->out[0] = 1; /* not compared again */
        expect_ok(engine_wait(s.t.g, s.t.slot, &e), &e);
        ck_assert_uint_eq(s.t.slot->out[0], 1);
        ck_assert_uint_eq(engine_guard_checked(s.t.g), 1);
        s.t.f->plan = (faulty_plan){.submit = atomic_load(&s.t.f->submits) + 1, .code = ERR_GPU};
    }
    ck_assert_ptr_nonnull(engine_guard_failure(s.t.g));
    small_close(&s);
}
END_TEST

int main(void)
{
    TCase *const tests = tcase_create("engine_takeover");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, taken_over);
    tcase_add_test(tests, own_slot_only);
    tcase_add_test(tests, passed_on);
    tcase_add_test(tests, errors_of_the_caller);
    tcase_add_test(tests, nothing_to_do);
    return run_tests("engine_takeover", tests);
}
