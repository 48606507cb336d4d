/* What a plan leaves unquantized, in words: sums by reason, and notes for what a user should know.
 *
 *     plan_kept_text(p, SIZE_MAX, text, sizeof text)     "embedding 1.2 GB, router 3 MB"
 *     plan_note_wide(p, m);                              before the work
 *     plan_note_unknown(p, m);                           after it */
#ifndef PLAN_NOTES_H
#define PLAN_NOTES_H

#include "convert/plan/plan.h"
#include "format/base/monitor.h"

enum { PLAN_KEPT_TEXT_BYTES = 1024 };

/* The bytes of kept tensors for each reason, largest first, at most `limit` of them. Empty if
 * nothing is kept. Returns `to`, which has PLAN_KEPT_TEXT_BYTES. */
const char *plan_kept_text(const plan *p, size_t limit, char *to);

/* A note if somebody else has quantized the source, in whole or in part, or if a file says so: which
 * method, how much is carried, what is left alone, and that there is no export. */
void plan_note_states(const plan *p, const monitor *m);

/* A note if more than half of the source stays unquantized although no rule of the user says so.
 * None if others quantized it: that has a note of its own. */
void plan_note_wide(const plan *p, const monitor *m);

/* A note that counts large matrices inside layers which are kept only because their name is not
 * known, if there are any. */
void plan_note_unknown(const plan *p, const monitor *m);

#endif
