/* How much text the steps of a tokenizer may make of one text, and whether to stop.
 *
 *     text_budget b;
 *     text_budget_begin(&b, bytes, m);          once per text
 *     text_budget_spend(&b, piece_bytes, e);    for every piece that goes from one step to the next
 *
 * A step may make a text longer, and a file may stack sixteen of them: without a limit, a file of a
 * few hundred bytes would turn a short text into gigabytes. Used by one thread. */
#ifndef TEXT_BUDGET_H
#define TEXT_BUDGET_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

/* All steps together may make TEXT_GROWTH times the text, and TEXT_SPARE bytes: sixteen steps that
 * each keep its length use a quarter of that. */
enum { TEXT_GROWTH = 64, TEXT_SPARE = 1 << 20 };

typedef struct text_budget {
    const monitor *monitor;
    uint64_t left;
    size_t steps;
} text_budget;

void text_budget_begin(text_budget *b, size_t bytes, const monitor *m);

/* ERR_INPUT if fewer than `bytes` bytes are left; ERR_CANCELLED. */
MUST_CHECK err_code text_budget_check(text_budget *b, size_t bytes, err *e);

/* The same, and spend them. */
MUST_CHECK err_code text_budget_spend(text_budget *b, size_t bytes, err *e);

#endif
