/* Checks that most tests of functions that can fail need, and the end of every main().
 *
 *     expect_ok(io_open_read(path, &fd, NULL, &e), &e);
 *     expect_error(io_open_read("/", &fd, NULL, &e), ERR_IO, &e, "not a regular file");
 *     uint64_t state = random_seed(_i);
 *     return run_tests("io", tc);
 */
#ifndef EXPECT_H
#define EXPECT_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format/base/err.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* Is this a build with a sanitizer? It is slow, and an allocation that cannot succeed ends it. */
#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* `e` may be NULL; on failure its text is shown. */
#define expect_ok(call, e)                                                                         \
    do {                                                                                           \
        const err_code expect_found = (call);                                                      \
        ck_assert_msg(expect_found == OK, "%s: %s: %s", #call, err_name(expect_found),             \
                      expect_text(e));                                                             \
    } while (0)

/* Code and `e` agree, and the text contains `part`; *e is then empty again. */
#define expect_error(call, expected, e, part)                                                      \
    do {                                                                                           \
        const err_code expect_found = (call);                                                      \
        ck_assert_msg(expect_found == (expected), "%s: expected %s, found %s: %s", #call,          \
                      err_name(expected), err_name(expect_found), expect_text(e));                 \
        ck_assert_msg((e)->code == (expected), "%s: returned %s, set %s", #call,                   \
                      err_name(expected), err_name((e)->code));                                    \
        ck_assert_msg(strstr((e)->text, part) != NULL, "%s: no '%s' in '%s'", #call, part,         \
                      (e)->text);                                                                  \
        *(e) = (err){0};                                                                           \
    } while (0)

static inline const char *expect_text(const err *e)
{
    return e ? e->text : "";
}

/* A seed for round `round` of a random test, never 0. Printed; SEED in the environment repeats it.
 */
static inline uint64_t random_seed(int round)
{
    const char *const given = getenv("SEED");
    const unsigned long long base =
        given ? strtoull(given, NULL, 10)
              : (unsigned long long)time(NULL) << 20 ^ (unsigned long long)getpid();
    printf("SEED=%llu\n", base);
    uint64_t z = base + (uint64_t)(round + 1) * 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return (z ^ z >> 31) | 1;
}

/* CPU seconds since `start`, which clock() gave. Printed, and no more than `limit`, which is for a
 * build without a sanitizer: ten times the usual, or more, distinguishes a quadratic loop from
 * a slow machine. */
static inline void expect_seconds(clock_t start, double limit, const char *what)
{
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    const char *const slower = getenv("CK_TIMEOUT_MULTIPLIER");
    printf("%s: %.3f s\n", what, seconds);
    ck_assert_double_le(seconds, limit * (slower ? strtod(slower, NULL) : 1));
}

/* Run one case as a suite; the value for main to return. */
static inline int run_tests(const char *name, TCase *tc)
{
    Suite *const s = suite_create(name);
    suite_add_tcase(s, tc);
    SRunner *const r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
