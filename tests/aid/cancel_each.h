/* A call is cancelled at its first question, at its second, and so on, until it comes to its end.
 *
 *     static err_code plan(void *ctx, const monitor *m, err *e);       after OK it has freed its result
 *     ck_assert_uint_eq(cancel_each(plan, &ctx), 7);                   the questions that it asked
 *
 * Each time it must end with ERR_CANCELLED. So a loop that no longer asks changes the number, and the
 * sanitizers see what is not released, wherever the call ended. */
#ifndef CANCEL_EACH_H
#define CANCEL_EACH_H

#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"
#include "tests/aid/expect.h"

typedef struct question {
    uint64_t asked, last; /* `last`: the one that is answered with yes */
} question;

static inline bool answer(void *ctx)
{
    question *const q = ctx;
    q->asked++;
    return q->asked == q->last;
}

static inline uint64_t cancel_each(err_code (*call)(void *ctx, const monitor *m, err *e), void *ctx)
{
    for (uint64_t last = 1;; last++) {
        question q = {.last = last};
        const monitor m = {.cancelled = answer, .ctx = &q};
        err e = {0};
        const err_code code = call(ctx, &m, &e);
        if (code == OK) {
            ck_assert_uint_eq(q.asked, last - 1);
            return q.asked;
        }
        expect_error(code, ERR_CANCELLED, &e, "interrupted");
        ck_assert_uint_eq(q.asked, last);
    }
}

#endif
