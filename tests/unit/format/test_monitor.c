/* The monitor: every part of it may be missing, and notes are bounded. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "format/base/monitor.h"
#include "tests/aid/expect.h"

typedef struct heard {
    char stage[32], note[2048];
    uint64_t total, advanced;
    bool stop;
} heard;

static void hear_stage(void *ctx, const char *name, uint64_t total_bytes)
{
    heard *const h = ctx;
    snprintf(h->stage, sizeof h->stage, "%s", name);
    h->total = total_bytes;
}

static void hear_advance(void *ctx, uint64_t bytes)
{
    ((heard *)ctx)->advanced += bytes;
}

static bool hear_cancelled(void *ctx)
{
    return ((heard *)ctx)->stop;
}

static void hear_note(void *ctx, const char *text)
{
    heard *const h = ctx;
    ck_assert_uint_lt(strlen(text), sizeof h->note);
    memcpy(h->note, text, strlen(text) + 1);
}

START_TEST(nobody_listens)
{
    const monitor silent = {0};
    const monitor *const monitors[] = {NULL, &silent};
    for (int i = 0; i < COUNT(monitors); i++) {
        monitor_stage(monitors[i], "stage", 1);
        monitor_advance(monitors[i], 1);
        monitor_note(monitors[i], "%s", "note");
        ck_assert(!monitor_cancelled(monitors[i]));
    }
}
END_TEST

START_TEST(everything_arrives)
{
    heard h = {0};
    const monitor m = {hear_stage, hear_advance, hear_cancelled, hear_note, &h};
    monitor_stage(&m, "convert", UINT64_MAX);
    monitor_advance(&m, 3);
    monitor_advance(&m, 4);
    monitor_note(&m, "%d of %s", 5, "them");
    ck_assert_str_eq(h.stage, "convert");
    ck_assert_uint_eq(h.total, UINT64_MAX);
    ck_assert_uint_eq(h.advanced, 7);
    ck_assert_str_eq(h.note, "5 of them");
    ck_assert(!monitor_cancelled(&m));
    h.stop = true;
    ck_assert(monitor_cancelled(&m));
}
END_TEST

START_TEST(long_notes_are_cut)
{
    heard h = {0};
    const monitor m = {.note = hear_note, .ctx = &h};
    char text[3000];
    memset(text, 'n', sizeof text);
    monitor_note(&m, "%.*s", (int)sizeof text, text);
    ck_assert_uint_eq(strlen(h.note), 1023);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("monitor");
    tcase_add_test(tc, nobody_listens);
    tcase_add_test(tc, everything_arrives);
    tcase_add_test(tc, long_notes_are_cut);
    return run_tests("monitor", tc);
}
