/* Lets every allocation of a piece of code fail in turn, except those that libraries make for
 * themselves (tests/fault has them). For one source file of a test program: it defines malloc.
 *
 *     static err_code open_it(void *ctx, err *e);       begins from nothing, releases everything
 *     expect_scarce(open_it, ctx);        ERR_MEMORY, or how it ends with enough memory, which is
 *                                         tried first: the same code and the same words
 *
 * Sanitizers have allocators of their own: there nothing fails. */
#ifndef SCARCE_H
#define SCARCE_H

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "tests/aid/expect.h"

/* The number of allocations until one fails; 0: none will. */
static atomic_long scarce_left;

#if !SANITIZED

/* NOLINTBEGIN(bugprone-reserved-identifier): names of the linker and of glibc */
extern const char __executable_start[], etext[]; /* the linker's: the code of the program */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
/* NOLINTEND(bugprone-reserved-identifier) */

static inline bool scarce_denies(const char *caller)
{
    if (atomic_load(&scarce_left) <= 0 || caller < __executable_start || caller >= etext ||
        atomic_fetch_sub(&scarce_left, 1) != 1) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

#define SCARCE scarce_denies(__builtin_return_address(0))

void *malloc(size_t bytes)
{
    return SCARCE ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return SCARCE ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return SCARCE ? NULL : __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return SCARCE ? NULL : __libc_memalign(alignment, bytes);
}

char *strdup(const char *s)
{
    const size_t bytes = strlen(s) + 1;
    char *const copy = SCARCE ? NULL : __libc_malloc(bytes);
    return copy ? memcpy(copy, s, bytes) : NULL;
}

int asprintf(char **to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int length = SCARCE ? -1 : vasprintf(to, format, args);
    va_end(args);
    return length;
}

/* Before the first JSON of a test: its many values do not fail. */
static inline void scarce_leave_jansson(void)
{
    json_set_alloc_funcs(__libc_malloc, free);
}

#else

static inline void scarce_leave_jansson(void)
{
}

#endif

typedef err_code (*scarce_fn)(void *ctx, err *e);

static inline void expect_scarce(scarce_fn fn, void *ctx)
{
    enum { MOST = 100000 };
    err first = {0};
    const err_code usual = fn(ctx, &first);
    ck_assert_msg(usual != ERR_MEMORY, "%s", first.text);
    int n = 0;
    for (bool failed = !SANITIZED; failed && n < MOST;) {
        err e = {0};
        atomic_store(&scarce_left, ++n);
        const err_code code = fn(ctx, &e);
        failed = atomic_exchange(&scarce_left, 0) <= 0;
        const bool same = code == usual && strcmp(e.text, first.text) == 0;
        ck_assert_msg(same || (failed && code == ERR_MEMORY), "allocation %d: %s: %s", n,
                      err_name(code), e.text);
    }
    ck_assert_int_lt(n, MOST);
    printf("%d allocations\n", n - 1);
}

#endif
