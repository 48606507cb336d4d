#include "convert/stream/pipeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/stream/chunk_source.h"
#include "convert/stream/work_items.h"
#include "convert/stream/nonfinite.h"
#include "convert/stream/scale_runs.h"
#include "format/base/glob.h"
#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "format/thread/sequencer.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "scales are written as the host has them: this needs a little-endian machine"
#endif

/* Who holds what, and for how long:
 *
 * - A slot and the buffers of its worker belong to one item at a time, from read_item until the
 *   last byte of the item is written. parallel_for hands out items in ascending order, which is
 *   the order of the file, and a worker starts its next item only when run_item has returned.
 * - The scales of an item lie in the run of its layer (scale_runs.h), which outlives the item: it
 *   stays in memory until scale_runs_finish was called for the last item of the layer. So every
 *   item with a part in a run calls scale_runs_finish exactly once if nothing fails, even if it was
 *   skipped (nonfinite_wanted) and never acquired anything.
 * - Where the output is a stream, an item takes a turn (sequencer.h) before its first write and
 *   keeps it until scale_runs_finish has returned, so a run is written within the turn of the last
 *   item of its layer.
 *
 * Why no worker waits forever: consider the lowest item that is not done. All lower items have left
 * the sequencer, so it has its turn. It also gets a buffer for its run: layers follow each other in
 * the file, so the runs of earlier layers are written and their buffers free, and no later run may
 * begin before this one. After a failure that item is never done; run_item then stops the sequencer
 * and the runs, which wakes all other workers. */

/* What a worker needs for one item besides its slot; allocated once. */
typedef struct item_buffers {
    unsigned char **data; /* [max_chunks] sources of the chunks, in slot->in */
    engine_job *jobs;     /* [max_chunks] */
    tile_stats *tiles;    /* [max_tiles] */
    chunk_scratch scratch;
} item_buffers;

struct pipeline {
    const pipeline_job *job;
    const monitor *m;
    pack_evidence *evidence; /* that of the job */
    output *out;             /* NULL until the run */
    work_list work;
    item_buffers *buffers; /* [slots] */
    scale_runs *runs;
    sequencer turns;        /* by item number; entered only if the output is a stream */
    chunk_reader reader;    /* its `pieces` are owned here */
    pack_stat *chunk_stats; /* [chunk_count], filled in for chunks of codes */
    nonfinite_log nonfinite;
};

/* Read the source of every chunk of an item into the slot, one area after another. */
static err_code read_item(pipeline *p, const work_item *item, const item_buffers *b,
                          const engine_slot *slot, err *e)
{
    const pack_record *const r = &p->job->plan->table.records[item->record];
    uint64_t at = 0;
    for (uint32_t i = 0; i < item->chunks; i++) {
        const pack_chunk c = pack_record_chunk(r, item->chunk + i);
        TRY(chunk_read(&p->reader, r, item->chunk + i, &b->scratch, slot->in + at, &b->data[i], e));
        at += item_chunk_in_bytes(r, &c);
    }
    return OK;
}

/* ---- in order -------------------------------------------------- */

/* A stream takes items in the order of the file, scales included. While an item waits for its turn,
 * its worker keeps the slot, although the engine is done with it: the results are still there. */
static err_code await_turn(pipeline *p, const work_item *item, err *e)
{
    return output_is_stream(p->out)
               ? sequencer_enter(&p->turns, (uint64_t)(item - p->work.items), e)
               : OK;
}

static err_code write_in_turn(pipeline *p, const work_item *item, uint64_t off, const void *data,
                              uint64_t bytes, err *e)
{
    TRY(await_turn(p, item, e));
    return output_write(p->out, off, data, bytes, e);
}

/* ---- copied bytes: kept tensors, carried codes and scales ------ */

/* Infinities and NaNs do no harm in kept tensors; codes and scales must not contain any. */
static void look_for_nonfinite(pipeline *p, uint32_t record, const pack_chunk *c,
                               const unsigned char *data)
{
    const pack_record *const r = &p->job->plan->table.records[record];
    uint64_t first = 0;
    const uint64_t bad = r->cls == CLASS_KEPT ? nonfinite_count(r->type, data, c->bytes)
                                              : nonfinite_find(r->type, data, c->bytes, &first);
    if (bad > 0 && r->cls == CLASS_KEPT) {
        nonfinite_report_kept(&p->nonfinite, record, bad);
    } else if (bad > 0) {
        const uint64_t begin = chunk_source_off(r, c) / (dtype_bits(r->type) / 8);
        nonfinite_report(&p->nonfinite, chunk_source(r, c), bad, begin + first);
    }
}

/* Chunks lie apart in the slot, so they are written one by one; those of scales go into the run of
 * their layer instead. */
static err_code write_copies(pipeline *p, const work_item *item, const item_buffers *b, err *e)
{
    const pack_record *const r = &p->job->plan->table.records[item->record];
    void *run = NULL;
    if (r->cls == CLASS_SCALES) {
        TRY(scale_runs_acquire(p->runs, item->record, &run, e));
    }
    for (uint32_t i = 0; i < item->chunks; i++) {
        const uint64_t number = r->chunk_first + item->chunk + i;
        const pack_chunk c = pack_record_chunk(r, item->chunk + i);
        look_for_nonfinite(p, item->record, &c, b->data[i]);
        if (run) {
            memcpy((unsigned char *)run + (c.off - r->off), b->data[i], c.bytes);
            continue;
        }
        unsigned char *const digest = pack_evidence_chunk(p->evidence, number);
        if (p->evidence->alg == DIGEST_XXH3) {
            /* The digest of the source bytes, which are the bytes of the file. */
            memcpy(digest, p->reader.pieces + number * XXH3_BYTES, XXH3_BYTES);
        } else {
            TRY(digest_of(p->evidence->alg, b->data[i], c.bytes, digest, e));
        }
        TRY(write_in_turn(p, item, c.off, b->data[i], c.bytes, e));
    }
    return OK;
}

/* ---- codes ----------------------------------------------------- */

/* Make one engine job per chunk. `scales`: where those of the whole record go. */
static void make_jobs(const pipeline *p, const work_item *item, const item_buffers *b,
                      const engine_slot *slot, float *scales)
{
    const pack_record *const r = &p->job->plan->table.records[item->record];
    const uint64_t cols = pack_record_cols(r);
    uint64_t out = 0;
    uint64_t tiles = 0;
    for (uint32_t i = 0; i < item->chunks; i++) {
        const pack_chunk c = pack_record_chunk(r, item->chunk + i);
        const pack_blocks blocks = pack_chunk_blocks(r, &c);
        b->jobs[i] = (engine_job){
            .source = pack_record_requantized(r) ? DTYPE_F32 : r->src_type,
            .block = r->block,
            .dialect = r->dialect,
            .rows = c.bytes / cols,
            .cols = cols,
            .in_off = (size_t)(b->data[i] - slot->in),
            .out_off = out,
            .tile_scales = scales + blocks.first,
            .stats = b->tiles + tiles,
        };
        out += c.bytes;
        tiles += blocks.down * blocks.across;
    }
}

/* Report the infinities and NaNs of one chunk: their number, and the index of the first one in the
 * source tensor. */
static void report_nonfinite(pipeline *p, const pack_record *r, const pack_chunk *c,
                             const engine_job *job)
{
    const block_format b = job->block;
    const uint64_t across = block_across(b, job->cols);
    const uint64_t begin = chunk_source_off(r, c) / (dtype_bits(r->src_type) / 8);
    const uint64_t tiles = engine_job_tiles(job);
    uint64_t count = 0;
    uint64_t first = UINT64_MAX;
    for (uint64_t t = 0; t < tiles; t++) {
        const tile_stats *const s = &job->stats[t];
        if (s->nonfinite > 0) {
            const uint64_t row = t / across * b.rows + s->first_nonfinite / b.cols;
            const uint64_t col = t % across * b.cols + s->first_nonfinite % b.cols;
            count += s->nonfinite;
            first = num_min(first, begin + row * job->cols + col);
        }
    }
    if (count > 0) {
        nonfinite_report(&p->nonfinite, chunk_source(r, c), count, first);
    }
}

static void collect_stats(pipeline *p, const work_item *item, const item_buffers *b)
{
    const pack_record *const r = &p->job->plan->table.records[item->record];
    for (uint32_t i = 0; i < item->chunks; i++) {
        const engine_job *const job = &b->jobs[i];
        const uint64_t number = r->chunk_first + item->chunk + i;
        const pack_chunk c = pack_record_chunk(r, item->chunk + i);
        slice_stats sums = SLICE_STATS_EMPTY;
        slice_stats_add(&sums, job->stats, job->tile_scales, item_chunk_tiles(r, &c));
        p->chunk_stats[number] = (pack_stat){
            .amax = sums.amax,
            .scale_min = sums.scale_min,
            .scale_max = sums.scale_max,
            .saturated = sums.saturated,
            .zero = sums.zero,
            .flushed = sums.flushed,
            .sum_sq_source = sums.sum_sq_source,
            .sum_sq_error = sums.sum_sq_error,
        };
        report_nonfinite(p, r, &c, job);
    }
}

static err_code digest_codes(const pipeline *p, const work_item *item, const item_buffers *b,
                             const engine_slot *slot, err *e)
{
    const pack_record *const r = &p->job->plan->table.records[item->record];
    for (uint32_t i = 0; i < item->chunks; i++) {
        const uint64_t number = r->chunk_first + item->chunk + i;
        const pack_chunk c = pack_record_chunk(r, item->chunk + i);
        TRY(digest_of(p->evidence->alg, slot->out + b->jobs[i].out_off, c.bytes,
                      pack_evidence_chunk(p->evidence, number), e));
    }
    return OK;
}

/* Quantize what read_item has put into the slot, and write the codes in one call: in the file the
 * chunks of an item follow each other without gaps. */
static err_code quantize_item(pipeline *p, const work_item *item, const item_buffers *b,
                              engine_slot *slot, err *e)
{
    engine *const g = p->job->engine;
    const pack_record *const r = &p->job->plan->table.records[item->record];
    void *scales = NULL;
    TRY(scale_runs_acquire(p->runs, item->record, &scales, e));
    make_jobs(p, item, b, slot, scales);
    TRY(engine_submit(g, slot, b->jobs, item->chunks, e));
    TRY(engine_wait(g, slot, e));
    collect_stats(p, item, b);
    TRY(digest_codes(p, item, b, slot, e));
    const pack_chunk first = pack_record_chunk(r, item->chunk);
    const pack_chunk last = pack_record_chunk(r, item->chunk + item->chunks - 1);
    return write_in_turn(p, item, first.off, slot->out, last.off + last.bytes - first.off, e);
}

/* ---- one item, all items --------------------------------------- */

/* Of an item that holds several source tensors (members of a stack) the first chunk has the lowest
 * one: if that one is not wanted, none is. */
static err_code process_item(pipeline *p, const work_item *item, unsigned worker, err *e)
{
    const pack_record *const r = &p->job->plan->table.records[item->record];
    engine_slot *const slot = &p->job->engine->slots[worker];
    const item_buffers *const b = &p->buffers[worker];
    const pack_chunk first = pack_record_chunk(r, item->chunk);
    if (nonfinite_wanted(&p->nonfinite, chunk_source(r, &first))) {
        TRY(read_item(p, item, b, slot, e));
        TRY(pack_record_has_stats(r) ? quantize_item(p, item, b, slot, e)
                                     : write_copies(p, item, b, e));
    }
    /* An item that was skipped, or that only put scales into a run, has no turn yet. */
    TRY(await_turn(p, item, e));
    return scale_runs_take_part(r)
               ? scale_runs_finish(p->runs, item->record, p->out, p->evidence, e)
               : OK;
}

static err_code run_item(void *ctx, unsigned worker, uint64_t task, err *e)
{
    pipeline *const p = ctx;
    const err_code code = process_item(p, &p->work.items[task], worker, e);
    if (code == OK) {
        sequencer_leave(&p->turns, task);
    } else {
        sequencer_stop(&p->turns);
        scale_runs_stop(p->runs);
    }
    return code;
}

/* Add up the chunks of each slice in ascending order, so that the sums, in floating point, do not
 * depend on which thread computed which chunk. */
static void combine_stats(const pipeline *p, const pack_record *r)
{
    const uint64_t slices = pack_record_slices(r);
    const uint64_t per_slice = r->chunk_count / slices;
    for (uint64_t s = 0; s < slices; s++) {
        pack_stat sum = p->chunk_stats[r->chunk_first + s * per_slice];
        for (uint64_t k = 1; k < per_slice; k++) {
            const pack_stat *const c = &p->chunk_stats[r->chunk_first + s * per_slice + k];
            sum.amax = c->amax > sum.amax ? c->amax : sum.amax;
            sum.scale_min = c->scale_min < sum.scale_min ? c->scale_min : sum.scale_min;
            sum.scale_max = c->scale_max > sum.scale_max ? c->scale_max : sum.scale_max;
            sum.saturated += c->saturated;
            sum.zero += c->zero;
            sum.flushed += c->flushed;
            sum.sum_sq_source += c->sum_sq_source;
            sum.sum_sq_error += c->sum_sq_error;
        }
        pack_stat_encode(&sum, pack_evidence_stat(p->evidence, r->stat_first + s));
    }
}

static void combine_evidence(const pipeline *p)
{
    const pack_table *const t = &p->job->plan->table;
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        const uint64_t sources = pack_record_sources(r);
        for (uint64_t k = 0; k < sources; k++) {
            const uint64_t per_source = r->chunk_count / sources;
            digest_combine_xxh3(p->reader.pieces + (r->chunk_first + k * per_source) * XXH3_BYTES,
                                per_source, pack_evidence_source(p->evidence, r->source_first + k));
        }
        if (pack_record_has_stats(r)) {
            combine_stats(p, r);
        }
    }
}

/* The tensor to name in --keep so that `t` is kept: for scales, their weight. */
static const tensor *kept_by(const plan *p, const tensor *t)
{
    for (uint64_t i = 0; i < p->table.source_count; i++) {
        if (p->scaled[i].other == t && p->scaled[i].kind == FP8_WEIGHT) {
            return p->members[i];
        }
    }
    return t;
}

static err_code refuse_nonfinite(const pipeline *p, err *e)
{
    const tensor *const t = p->job->plan->members[p->nonfinite.source];
    char glob[GLOB_NAME_BYTES];
    err_set(e, ERR_INPUT,
            "%s: tensor %s: an infinity or NaN at index %" PRIu64 ", the first of %" PRIu64,
            p->job->cp->shards[t->shard].path, t->name, p->nonfinite.first, p->nonfinite.count);
    err_hint(e, "--keep '%s' leaves the tensor as it is",
             glob_of_name(kept_by(p->job->plan, t)->name, glob));
    return ERR_INPUT;
}

static uint64_t buffers_bytes(const work_list *w, uint64_t scale_bytes)
{
    return scale_bytes + w->max_chunks * (sizeof(unsigned char *) + sizeof(engine_job)) +
           w->max_tiles * sizeof(tile_stats);
}

err_code pipeline_measure(const plan *p, size_t in_bytes, size_t out_bytes, pipeline_need *out,
                          err *e)
{
    work_list work;
    TRY(work_list_make(&p->table, in_bytes, out_bytes, &work, e));
    out->max_tiles = work.max_tiles;
    out->slot_bytes =
        buffers_bytes(&work, chunk_scale_bytes(p)) + work.max_tiles * ENGINE_TILE_BYTES;
    work_list_free(&work);
    return OK;
}

static err_code buffers_make(item_buffers *b, const work_list *w, uint64_t scale_bytes, err *e)
{
    b->scratch.scales = malloc(scale_bytes + 1);
    b->data = calloc(w->max_chunks + 1, sizeof *b->data);
    b->jobs = calloc(w->max_chunks + 1, sizeof *b->jobs);
    b->tiles = calloc(w->max_tiles + 1, sizeof *b->tiles);
    return b->data && b->jobs && b->tiles && b->scratch.scales
               ? digest_open(DIGEST_XXH3, &b->scratch.digest, e)
               : err_set(e, ERR_MEMORY, "no memory for the buffers of the pipeline");
}

static err_code allocate(pipeline *p, err *e)
{
    const pack_table *const t = &p->job->plan->table;
    const engine *const g = p->job->engine;
    TRY(work_list_make(t, g->in_bytes, g->out_bytes, &p->work, e));
    TRY(scale_runs_open(t, &p->work, p->m, &p->runs, e));
    p->buffers = calloc(p->job->slots, sizeof *p->buffers);
    p->reader.pieces = calloc(t->chunk_count + 1, XXH3_BYTES);
    p->chunk_stats = calloc(t->chunk_count + 1, sizeof *p->chunk_stats);
    if (!p->buffers || !p->reader.pieces || !p->chunk_stats) {
        return err_set(e, ERR_MEMORY, "no memory for the pipeline");
    }
    const uint64_t scale_bytes = chunk_scale_bytes(p->job->plan);
    for (unsigned i = 0; i < p->job->slots; i++) {
        TRY(buffers_make(&p->buffers[i], &p->work, scale_bytes, e));
    }
    return OK;
}

err_code pipeline_open(const pipeline_job *job, const monitor *m, pipeline **out, err *e)
{
    pipeline *const p = calloc(1, sizeof *p);
    if (!p) {
        return err_set(e, ERR_MEMORY, "no memory for the pipeline");
    }
    *p = (pipeline){.job = job,
                    .m = m,
                    .evidence = job->evidence,
                    .reader = {.plan = job->plan, .cp = job->cp, .m = m}};
    nonfinite_open(&p->nonfinite);
    sequencer_open(&p->turns, m);
    const err_code code = allocate(p, e);
    if (code != OK) {
        pipeline_close(p);
        return code;
    }
    *out = p;
    return OK;
}

/* Also takes what was allocated only in part. */
void pipeline_close(pipeline *p)
{
    if (!p) {
        return;
    }
    for (unsigned i = 0; p->buffers && i < p->job->slots; i++) {
        free(p->buffers[i].data);
        free(p->buffers[i].jobs);
        free(p->buffers[i].tiles);
        free(p->buffers[i].scratch.scales);
        digest_close(p->buffers[i].scratch.digest);
    }
    free(p->buffers);
    free(p->reader.pieces);
    free(p->chunk_stats);
    scale_runs_close(p->runs);
    sequencer_close(&p->turns);
    work_list_free(&p->work);
    nonfinite_close(&p->nonfinite);
    free(p);
}

static void note_nonfinite_kept(const pipeline *p)
{
    const uint64_t count = p->nonfinite.kept_count;
    if (count > 0) {
        monitor_note(p->m,
                     "%" PRIu64 " infinite or NaN element%s in kept tensors, copied unchanged; the "
                     "first is in %s",
                     count, count == 1 ? "" : "s",
                     p->job->plan->table.records[p->nonfinite.kept_record].name);
    }
}

err_code pipeline_run(pipeline *p, output *out, uint64_t *nonfinite_kept, err *e)
{
    p->out = out;
    TRY(parallel_for(p->job->slots, p->work.count, run_item, p, p->m, e));
    if (p->nonfinite.source != UINT64_MAX) {
        return refuse_nonfinite(p, e);
    }
    combine_evidence(p);
    *nonfinite_kept = p->nonfinite.kept_count;
    note_nonfinite_kept(p);
    return OK;
}
