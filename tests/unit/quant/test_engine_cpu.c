/* The CPU engine: many slots and threads give the bytes of one kernel call on one thread, at every
 * level. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/cpu_level.h"
#include "quant/engine/engine_cpu.h"
#include "quant/engine/tile_kernel.h"
#include "tests/aid/engine_batch.h"
#include "tests/aid/expect.h"

enum { SLOTS = 3 };

static void check_engine(const batch *b, unsigned threads)
{
    engine *g = NULL;
    err e = {0};
    ck_assert_msg(engine_cpu_open(threads, SLOTS, b->in_bytes, b->out_bytes, &g, &e) == OK, "%s",
                  e.text);
    ck_assert_str_eq(g->ops->name, "cpu");
    ck_assert_uint_eq(g->slot_count, SLOTS);
    for (unsigned i = 0; i < SLOTS; i++) {
        ck_assert_uint_eq((uintptr_t)g->slots[i].in % 4096, 0);
        ck_assert_uint_eq((uintptr_t)g->slots[i].out % 4096, 0);
    }
    char what[32];
    snprintf(what, sizeof what, "%u threads", threads);
    batch_expect(g, b, what);
    engine_close(g);
}

START_TEST(same_bytes)
{
    static const unsigned threads[] = {1, 2, 5};
    batch b = batch_new();
    for (cpu_level level = CPU_BASELINE; level < CPU_LEVELS; level++) {
        if (cpu_level_available(level)) {
            ck_assert_int_eq(setenv("OCTAVO_CPU", cpu_level_name(level), 1), 0);
            for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
                check_engine(&b, threads[i]);
            }
        }
    }
    batch_free(&b);
}
END_TEST

/* Waiting without work, no jobs, and an engine that is never used. */
START_TEST(nothing_to_do)
{
    engine *g = NULL;
    ck_assert_int_eq(engine_cpu_open(2, 1, 1, 1, &g, NULL), OK);
    ck_assert_int_eq(engine_wait(g, &g->slots[0], NULL), OK);
    ck_assert_int_eq(engine_submit(g, &g->slots[0], NULL, 0, NULL), OK);
    ck_assert_int_eq(engine_wait(g, &g->slots[0], NULL), OK);
    engine_close(g);
    ck_assert_int_eq(engine_cpu_open(5, 4, 0, 0, &g, NULL), OK);
    engine_close(g);
    engine_close(NULL);
}
END_TEST

START_TEST(levels)
{
    err e = {0};
    engine *g = NULL;
    cpu_level best = CPU_LEVELS;
    unsetenv("OCTAVO_CPU");
    ck_assert_int_eq(cpu_level_choose(&best, NULL), OK);
    ck_assert(cpu_level_available(best) && cpu_level_available(CPU_BASELINE));
    for (cpu_level level = CPU_BASELINE; level < CPU_LEVELS; level++) {
        cpu_level chosen = CPU_LEVELS;
        ck_assert_int_eq(setenv("OCTAVO_CPU", cpu_level_name(level), 1), 0);
        if (level <= best) {
            ck_assert_int_eq(cpu_level_choose(&chosen, NULL), OK);
            ck_assert_int_eq(chosen, level);
            ck_assert_str_eq(tile_kernel_at(level)->name, cpu_level_name(level));
        } else {
            ck_assert_int_eq(cpu_level_choose(&chosen, NULL), ERR_USAGE);
        }
    }
    ck_assert_int_eq(setenv("OCTAVO_CPU", "v5", 1), 0);
    ck_assert_int_eq(engine_cpu_open(1, 1, 1, 1, &g, &e), ERR_USAGE);
    ck_assert_str_eq(e.text, "OCTAVO_CPU: expected baseline, v3 or v4, found \"v5\"");
    ck_assert_ptr_null(g);
}
END_TEST

/* More memory than any machine has: an error, and nothing is leaked. */
START_TEST(no_memory)
{
    if (SANITIZED) {
        return;
    }
    err e = {0};
    engine *g = NULL;
    ck_assert_int_eq(engine_cpu_open(2, 2, SIZE_MAX / 4, 4096, &g, &e), ERR_MEMORY);
    ck_assert_ptr_nonnull(strstr(e.text, "no memory"));
    ck_assert_ptr_null(g);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("engine_cpu");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, same_bytes);
    tcase_add_test(tests, nothing_to_do);
    tcase_add_test(tests, levels);
    tcase_add_test(tests, no_memory);
    return run_tests("engine_cpu", tests);
}
