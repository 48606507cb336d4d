#include "bin/show/plan_notes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bin/cli/text.h"
#include "format/base/printable.h"

/* The reason with the most bytes of those that come after `than` of `before` bytes;
 * REASON_COUNT: none is left. Equal sums come in the order of their reasons. */
static recipe_reason next_reason(const plan *p, recipe_reason than, uint64_t before)
{
    recipe_reason best = REASON_COUNT;
    for (int r = 0; r < REASON_COUNT; r++) {
        const uint64_t bytes = p->kept_bytes[r];
        const bool later = bytes < before || (bytes == before && r > (int)than);
        if (bytes > 0 && later && (best == REASON_COUNT || bytes > p->kept_bytes[best])) {
            best = (recipe_reason)r;
        }
    }
    return best;
}

const char *plan_kept_text(const plan *p, size_t limit, char *to)
{
    size_t used = 0;
    recipe_reason r = next_reason(p, REASON_COUNT, UINT64_MAX);
    to[0] = '\0';
    for (size_t i = 0; i < limit && r != REASON_COUNT; i++) {
        shown size;
        used +=
            (size_t)snprintf(to + used, PLAN_KEPT_TEXT_BYTES - used, "%s%s %s", i > 0 ? ", " : "",
                             recipe_reason_name(r), text_size(size.s, p->kept_bytes[r]));
        r = next_reason(p, r, p->kept_bytes[r]);
    }
    return to;
}

/* Kept because the built-in rules say so, not because of a rule of the user. */
static uint64_t wide_bytes(const plan *p)
{
    uint64_t bytes = 0;
    for (int r = 0; r < REASON_COUNT; r++) {
        bytes += r == REASON_RULE || r == REASON_FP8 ? 0 : p->kept_bytes[r];
    }
    return bytes;
}

void plan_note_wide(const plan *p, const monitor *m)
{
    const uint64_t wide = wide_bytes(p);
    /* What others quantized does not count, and has a note of its own. */
    if (p->foreign_count == 0 && wide > p->source_bytes / 2) {
        shown part, all;
        char kept[PLAN_KEPT_TEXT_BYTES];
        monitor_note(m, "most of this model stays unquantized: %s of %s (%s)",
                     text_size(part.s, wide), text_size(all.s, p->source_bytes),
                     plan_kept_text(p, 3, kept));
    }
}

void plan_note_unknown(const plan *p, const monitor *m)
{
    const plan_unknown *const u = &p->unknown;
    if (u->count > 0) {
        shown size;
        char name[256];
        printable(name, sizeof name, u->example);
        monitor_note(m,
                     "%" PRIu64
                     " large matri%s inside layers stay%s unquantized (%s) only because %s not "
                     "known, for example %s; --quantize GLOB quantizes %s",
                     u->count, u->count == 1 ? "x" : "ces", u->count == 1 ? "s" : "",
                     text_size(size.s, u->bytes), u->count == 1 ? "its name is" : "their names are",
                     name, u->count == 1 ? "it" : "them");
    }
}

/* The method of the first weight that somebody else quantized. */
static const char *foreign_method(const plan *p)
{
    const char *method = NULL;
    for (uint32_t i = 0; i < p->table.count && !method; i++) {
        method = p->records[i].reason == REASON_FOREIGN ? p->records[i].method : NULL;
    }
    return method ? method : "";
}

static void note_foreign(const plan *p, const monitor *m)
{
    const quantization *const q = &p->described;
    const char *const method = foreign_method(p);
    char says[3 * QUANTIZATION_TEXT_BYTES] = "";
    char spared[128] = "";
    if (q->count > 0 && strcmp(q->method, method) != 0) {
        snprintf(says, sizeof says, " (%s says %s)", q->place, q->method);
    }
    if (p->spared_count > 0) {
        snprintf(spared, sizeof spared, ", %" PRIu64 " linear layer%s kept as its makers left them",
                 p->spared_count, text_s(p->spared_count));
    }
    monitor_note(m,
                 "already quantized by %s%s: %" PRIu64
                 " weight%s carried unchanged%s; octavo export refuses such a file",
                 method, says, p->foreign_count, text_s(p->foreign_count), spared);
}

/* What somebody else quantized, and what that means. */
void plan_note_states(const plan *p, const monitor *m)
{
    const quantization *const q = &p->described;
    const bool in_config = strncmp(q->place, "config.json", strlen("config.json")) == 0;
    if (q->rotated) {
        monitor_note(m,
                     "%s: transform_config: weights are transformed; octavo export refuses such a "
                     "file",
                     q->place);
    }
    if (p->foreign_count > 0) {
        note_foreign(p, m);
    } else if (p->carried_count + p->requantized_count > 0 && p->spared_count > 0) {
        monitor_note(m,
                     "partly FP8: %" PRIu64
                     " linear layer%s kept as its makers left them; --quantize GLOB quantizes some",
                     p->spared_count, text_s(p->spared_count));
    } else if (q->count > 0 && !p->states.any) {
        monitor_note(m, "%s describes a quantization (%s), but no tensor shows it%s; %s", q->place,
                     q->method, q->unknown ? ", so linear layers are kept as they are" : "",
                     in_config ? "octavo export refuses such a file" : "it is not exported");
    }
}
