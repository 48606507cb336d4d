/* The end of a forward pass: logits, for as many tokens at a time as memory allows, and the
 * measures of each position. Variants take turns in the buffers. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "verify/forward/forward_job.h"

/* Buffers of logits: BASE of the source or the reference, then those of the tracks of one variant. */
enum { BASE, PLACES_MAX = 1 + RUN_TRACKS_MAX };

/* The track whose logits a buffer has. */
typedef struct place {
    forward_side side;
    track_kind kind;
} place;

typedef struct logits_work {
    forward_job *job;
    size_t vocab;
    place places[PLACES_MAX];
    unsigned count;            /* of places */
    bool computed_base;        /* BASE is a track of the source */
    float *device[PLACES_MAX]; /* memory of the ops, [block, vocab]; NULL: not computed */
    float *host[PLACES_MAX];   /* [block, vocab], within `memory`; NULL: not used */
    float *memory;
    hidden_sums *sums;           /* [places, block] logits of LOCAL tracks against the base */
    double *distance_sq;         /* [block] of packed and ideal */
    size_t block, first, tokens; /* tokens of a block at most; the tokens of the current block */
    unsigned variant;
} logits_work;

/* ---- which logits ---------------------------------------------- */

static bool has_base(const forward_job *j)
{
    return forward_has(j, SIDE_SOURCE) || j->reference_logits;
}

/* Does the ideal file have the bytes of the source? */
static bool is_kept(const forward_job *j, unsigned slot)
{
    char name[NAME_MAX_BYTES + 1];
    model_tensor_name(forward_config(j), slot, 0, 0, name);
    const store_tensor *const t = store_find(j->sides[SIDE_PACKED].run.store, name);
    const store_tensor *const s = store_find(j->sides[SIDE_SOURCE].run.store, name);
    return t && s && !t->quantized && !s->quantized && t->type == s->type;
}

/* If every tensor of the head is kept, the ideal file's head is that of the source, and what it makes
 * of the source's states is known. */
static bool is_known(const forward_job *j, forward_side side, track_kind kind)
{
    return side == SIDE_IDEAL && kind == LOCAL && is_kept(j, SLOT_FINAL_NORM) &&
           is_kept(j, forward_config(j)->tied ? SLOT_EMBEDDING : SLOT_HEAD);
}

static void plan_places(logits_work *w)
{
    static const track_kind kinds[] = {OWN, LOCAL, CHOICE};
    const forward_job *const j = w->job;
    w->count = 1; /* BASE, used or not */
    w->computed_base = forward_has(j, SIDE_SOURCE);
    for (forward_side s = SIDE_PACKED; s < SIDES; s++) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            if (j->sides[s].number[0][kinds[k]] >= 0 && !is_known(j, s, kinds[k])) {
                w->places[w->count++] = (place){s, kinds[k]};
            }
        }
    }
}

/* The buffer of a track; 0, which is BASE: its logits are those of the base, or there is none. */
static unsigned find_place(const logits_work *w, forward_side side, track_kind kind)
{
    unsigned i = w->count - 1;
    while (i > BASE && (w->places[i].side != side || w->places[i].kind != kind)) {
        i--;
    }
    return i;
}

/* ---- memory ---------------------------------------------------- */

static unsigned first_place(const forward_job *j)
{
    return has_base(j) ? BASE : BASE + 1;
}

err_code forward_logits_block(const forward_job *j, size_t *block, err *e)
{
    logits_work w = {.job = (forward_job *)j};
    plan_places(&w);
    const uint64_t each = /* twice: for the ops and on the host */
        2 * (uint64_t)(w.count - first_place(j)) * forward_config(j)->vocab * sizeof(float);
    const uint64_t fit = j->options->memory / each;
    if (fit == 0) {
        return err_set(e, ERR_MEMORY,
                       "%s: logits of one token take %" PRIu64 " bytes, --memory allows %" PRIu64,
                       j->sides[SIDE_PACKED].run.store->path, each, j->options->memory);
    }
    *block = num_min(num_min(fit, RUN_BLOCK), forward_tokens(j));
    return OK;
}

static err_code allocate(logits_work *w, err *e)
{
    const forward_job *const j = w->job;
    ops *const o = j->sides[SIDE_PACKED].run.ops;
    const unsigned first = first_place(j);
    const size_t floats = w->block * w->vocab;
    w->memory = malloc((w->count - first) * floats * sizeof(float));
    w->sums = calloc(w->count * w->block, sizeof *w->sums);
    w->distance_sq = calloc(w->block, sizeof *w->distance_sq);
    bool complete = w->memory && w->sums && w->distance_sq;
    for (unsigned i = first; i < w->count && complete; i++) {
        const bool computed = i > BASE || w->computed_base;
        w->host[i] = w->memory + (i - first) * floats;
        w->device[i] = computed ? o->alloc(o, floats) : NULL;
        complete = !computed || w->device[i];
    }
    return complete ? OK : err_set(e, ERR_MEMORY, "no memory for logits of %zu tokens", w->block);
}

static void release(logits_work *w)
{
    ops *const o = w->job->sides[SIDE_PACKED].run.ops;
    for (unsigned i = 0; i < PLACES_MAX; i++) {
        o->release(o, w->device[i]);
    }
    free(w->memory);
    free(w->sums);
    free(w->distance_sq);
}

/* ---- computing one block --------------------------------------- */

static mat block_mat(const logits_work *w, unsigned i)
{
    return (mat){w->device[i], w->tokens, w->vocab, w->vocab};
}

static err_code check_finite(const logits_work *w, const model_run *run, const float *logits,
                             err *e)
{
    const size_t length = w->job->options->length;
    for (size_t i = 0; i < w->tokens; i++) {
        if (!forward_all_finite(logits + i * w->vocab, w->vocab)) {
            const size_t at = w->first + i;
            return err_set(e, ERR_NUMERIC, "%s: sequence %zu, token %zu: a logit is not finite",
                           run->store->path, w->job->first + at / length, at % length);
        }
    }
    return OK;
}

/* Compute the logits of tracks of one side into buffers `to`. */
static err_code compute(logits_work *w, forward_side side, const unsigned *numbers,
                        const unsigned *to, unsigned count, err *e)
{
    model_run *const run = &w->job->sides[side].run;
    ops *const o = run->ops;
    mat out[PLACES_MAX] = {0};
    for (unsigned i = 0; i < count; i++) {
        out[i] = block_mat(w, to[i]);
    }
    TRY(count > 0 ? run_logits(run, numbers, count, w->first, w->tokens, out, e) : OK);
    for (unsigned i = 0; i < count; i++) {
        o->get(o, out[i], w->host[to[i]]);
        TRY(o->status(o, e));
        TRY(check_finite(w, run, w->host[to[i]], e));
    }
    return OK;
}

static err_code compute_side(logits_work *w, forward_side side, err *e)
{
    const model_side *const s = &w->job->sides[side];
    unsigned numbers[PLACES_MAX];
    unsigned to[PLACES_MAX];
    unsigned count = 0;
    for (unsigned i = BASE + 1; i < w->count; i++) {
        if (w->places[i].side == side) {
            numbers[count] = (unsigned)s->number[w->variant][w->places[i].kind];
            to[count++] = i;
        }
    }
    return compute(w, side, numbers, to, count, e);
}

static err_code compute_base(logits_work *w, err *e)
{
    forward_job *const j = w->job;
    const unsigned own = 0;
    const unsigned base = BASE;
    if (w->computed_base) {
        return compute(w, SIDE_SOURCE, &own, &base, 1, e);
    }
    return j->reference_logits
               ? reference_read_rows(j->options->reference, j->reference_logits, w->first,
                                     w->tokens, w->vocab, w->host[BASE], e)
               : OK;
}

/* ---- measuring one block --------------------------------------- */

static const float *row(const logits_work *w, unsigned i, size_t task)
{
    return w->host[i] ? w->host[i] + task * w->vocab : NULL;
}

static int64_t target_of(const logits_work *w, size_t at)
{
    const forward_options *const o = w->job->options;
    const size_t token = w->job->first * o->length + at;
    return (at + 1) % o->length ? o->ids[token + 1] : -1;
}

static position_measure *measures(const logits_work *w, size_t task, forward_side side)
{
    const forward_job *const j = w->job;
    const size_t at = j->first * j->options->length + w->first + task;
    return &j->report->variants[w->variant].logits[side].positions[at];
}

/* Whether an own track has the logits that the packed model has. The ideal file usually does. */
static bool is_packed(const logits_work *w, size_t task, unsigned i)
{
    const unsigned packed = find_place(w, SIDE_PACKED, OWN);
    return i > packed &&
           memcmp(row(w, i, task), row(w, packed, task), w->vocab * sizeof(float)) == 0;
}

/* `base`: of the source or the reference; NULL: there is none. */
static void measure_own(const logits_work *w, size_t task, unsigned i, const measure_row *base)
{
    position_measure *const to = measures(w, task, w->places[i].side);
    if (base && is_packed(w, task, i)) {
        *to = *measures(w, task, SIDE_PACKED);
        to->choice_kl = NAN;
        return;
    }
    const measure_row own = measure_prepare(w->job->kernel, row(w, i, task), w->vocab);
    measure_position(w->job->kernel, base ? base : &own, base ? &own : NULL,
                     target_of(w, w->first + task), to);
}

/* After the packed model's own track. */
static void measure_choice(const logits_work *w, size_t task, unsigned i, const measure_row *base)
{
    const measure_row choice = measure_prepare(w->job->kernel, row(w, i, task), w->vocab);
    measures(w, task, SIDE_PACKED)->choice_kl = measure_divergence(w->job->kernel, base, &choice);
}

/* The part of the head: the source's last states through this model's norm and head. */
static void measure_head(logits_work *w, size_t task, unsigned i)
{
    const float *const base = row(w, BASE, task);
    const unsigned packed = find_place(w, SIDE_PACKED, LOCAL);
    hidden_sums *const s = &w->sums[i * w->block + task];
    *s = (hidden_sums){0};
    hidden_sums_add(s, base, row(w, i, task), w->vocab);
    if (i == packed && forward_has(w->job, SIDE_IDEAL)) {
        part_tally t = {0};
        part_add_distance(&t, row(w, packed, task), row(w, find_place(w, SIDE_IDEAL, LOCAL), task),
                          w->vocab);
        w->distance_sq[task] = t.distance_sq;
    }
}

static void measure_place(logits_work *w, size_t task, unsigned i, const measure_row *base)
{
    switch (w->places[i].kind) {
    case OWN:
        measure_own(w, task, i, base);
        break;
    case CHOICE:
        measure_choice(w, task, i, base);
        break;
    default:
        measure_head(w, task, i);
    }
}

static err_code measure_token(void *ctx, unsigned worker, uint64_t task, err *e)
{
    logits_work *const w = ctx;
    const float *const z = row(w, BASE, task);
    measure_row base = {0};
    (void)worker;
    (void)e;
    if (z) {
        base = measure_prepare(w->job->kernel, z, w->vocab);
    }
    for (unsigned i = BASE + 1; i < w->count; i++) {
        measure_place(w, task, i, z ? &base : NULL);
    }
    return OK;
}

/* Token after token, whatever thread measured it. */
static void add_heads(logits_work *w)
{
    forward_job *const j = w->job;
    part_tally *const t = forward_part(j, w->variant, PART_HEAD, 0);
    for (unsigned i = BASE + 1; i < w->count; i++) {
        if (w->places[i].kind == LOCAL) {
            part_add_sums(t, w->places[i].side, w->sums + i * w->block, w->tokens);
        }
    }
    t->measured[SIDE_IDEAL] = forward_has(j, SIDE_IDEAL); /* known: without any error */
    for (size_t i = 0; i < w->tokens && forward_has(j, SIDE_IDEAL); i++) {
        t->distance_sq += w->distance_sq[i];
    }
    t->undefined |= j->sides[SIDE_PACKED].undefined;
}

/* ---- all blocks ------------------------------------------------ */

static err_code do_variant(logits_work *w, err *e)
{
    forward_job *const j = w->job;
    for (forward_side s = SIDE_PACKED; s < SIDES; s++) {
        TRY(compute_side(w, s, e));
    }
    if (j->dump && w->variant == 0) {
        TRY(dump_logits(j->dump, w->first, w->tokens, w->host[BASE + 1], e));
    }
    TRY(parallel_for(j->options->threads, w->tokens, measure_token, w, &j->monitor, e));
    if (forward_has(j, SIDE_SOURCE)) {
        add_heads(w);
    }
    return OK;
}

static err_code do_block(logits_work *w, err *e)
{
    TRY(compute_base(w, e));
    for (w->variant = 0; w->variant < w->job->report->variant_count; w->variant++) {
        TRY(do_variant(w, e));
    }
    return OK;
}

/* The part of the heads that this block is of all tokens. */
static void advance(const logits_work *w, size_t tokens)
{
    const forward_job *const j = w->job;
    for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
        if (forward_has(j, s) && !forward_config(j)->tied) {
            const double bytes = (double)forward_slot_bytes(j, s, SLOT_HEAD);
            monitor_advance(&j->monitor, (uint64_t)(bytes * (double)w->tokens / (double)tokens));
        }
    }
}

err_code forward_logits(forward_job *j, err *e)
{
    const size_t tokens = forward_tokens(j);
    logits_work w = {.job = j, .vocab = forward_config(j)->vocab};
    err_code code = OK;
    plan_places(&w);
    TRY_OUT(forward_logits_block(j, &w.block, e));
    TRY_OUT(allocate(&w, e));
    for (; w.first < tokens; w.first += w.tokens) {
        w.tokens = num_min(w.block, tokens - w.first);
        TRY_OUT(do_block(&w, e));
        advance(&w, tokens);
    }
out:
    release(&w);
    return code;
}
