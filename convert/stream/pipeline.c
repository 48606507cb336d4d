#include "convert/stream/pipeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/stream/chunk_source.h"
#include "convert/stream/work_items.h"
#include "convert/stream/nonfinite.h"
#include "convert/stream/scale_runs.h"
#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "format/thread/sequencer.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "scales are written as the host has them: this needs a little-endian machine"
#endif

/* What one worker needs for an item, allocated once. */
typedef struct bench {
    unsigned char **data;  /* [max_chunks] sources of the chunks, in slot->in */
    engine_job *jobs;      /* [max_chunks] */
    tile_stats *tiles;     /* [max_tiles] */
    unsigned char *scales; /* [scale_room] those of a source in FP8 */
} bench;

typedef struct pipeline {
    const pipeline_job *job;
    const monitor *m;
    pack_evidence *evidence;
    work_list work;
    bench *benches; /* [slots] */
    scale_runs *runs;
    sequencer turns;        /* of items, where the output wants them in order */
    chunk_reader reader;    /* its pieces are ours */
    pack_stat *chunk_stats; /* [chunk_count], of codes records */
    nonfinite_log nonfinite;
} pipeline;

/* Read the source of every chunk of an item into the slot, room behind room. */
static err_code read_item(pipeline *p, const work_item *item, const bench *b,
                          const engine_slot *slot, err *e)
{
    const pack_record *const r = &p->job->plan->table.records[item->record];
    uint64_t at = 0;
    err_code code = OK;
    for (uint32_t i = 0; i < item->chunks && code == OK; i++) {
        const pack_chunk c = pack_record_chunk(r, item->chunk + i);
        code = chunk_read(&p->reader, r, item->chunk + i, b->scales, slot->in + at, &b->data[i], e);
        at += item_chunk_in_bytes(r, &c);
    }
    return code;
}

/* ---- in order -------------------------------------------------- */

/* A stream takes items in the order of the file, scales included. While an item waits for its turn
 * its worker keeps its slot, with which the engine is done; the first item that is not written
 * waits for nobody, so somebody always gets on. */
static err_code await_turn(pipeline *p, const work_item *item, err *e)
{
    return output_is_stream(p->job->out)
               ? sequencer_enter(&p->turns, (uint64_t)(item - p->work.items), e)
               : OK;
}

static err_code write_in_turn(pipeline *p, const work_item *item, uint64_t off, const void *data,
                              uint64_t bytes, err *e)
{
    const err_code code = await_turn(p, item, e);
    return code == OK ? output_write(p->job->out, off, data, bytes, e) : code;
}

/* ---- what stays as it is --------------------------------------- */

/* Infinities and NaNs do no harm in kept tensors; codes and scales are no such without. */
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

/* Chunks stand apart in the slot: written one by one, or, scales, put into the run of their layer.
 */
static err_code write_copies(pipeline *p, const work_item *item, const bench *b, err *e)
{
    const pack_record *const r = &p->job->plan->table.records[item->record];
    void *run = NULL;
    err_code code =
        r->cls == CLASS_SCALES ? scale_runs_acquire(p->runs, item->record, &run, e) : OK;
    for (uint32_t i = 0; i < item->chunks && code == OK; i++) {
        const uint64_t number = r->chunk_first + item->chunk + i;
        const pack_chunk c = pack_record_chunk(r, item->chunk + i);
        look_for_nonfinite(p, item->record, &c, b->data[i]);
        if (run) {
            memcpy((unsigned char *)run + (c.off - r->off), b->data[i], c.bytes);
            continue;
        }
        unsigned char *const digest = pack_evidence_chunk(p->evidence, number);
        if (p->job->digest == DIGEST_XXH3) {
            memcpy(digest, p->reader.pieces + number * XXH3_BYTES, XXH3_BYTES); /* the same bytes */
        } else {
            digest_of(p->job->digest, b->data[i], c.bytes, digest);
        }
        code = write_in_turn(p, item, c.off, b->data[i], c.bytes, e);
    }
    return code;
}

/* ---- codes ----------------------------------------------------- */

/* One engine job per chunk. `scales` are those of the whole record. */
static void make_jobs(const pipeline *p, const work_item *item, const bench *b,
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

/* Infinities and NaNs of one chunk: their number, and the first in the source tensor. */
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

static void collect_stats(pipeline *p, const work_item *item, const bench *b,
                          const engine_slot *slot)
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
        digest_of(p->job->digest, slot->out + job->out_off, c.bytes,
                  pack_evidence_chunk(p->evidence, number));
    }
}

/* Quantize what read_item has put into the slot, and write the codes: the chunks of an item are one
 * run of the file. */
static err_code quantize_item(pipeline *p, const work_item *item, const bench *b, engine_slot *slot,
                              err *e)
{
    engine *const g = p->job->engine;
    const pack_record *const r = &p->job->plan->table.records[item->record];
    void *scales = NULL;
    err_code code = scale_runs_acquire(p->runs, item->record, &scales, e);
    if (code != OK) {
        return code;
    }
    make_jobs(p, item, b, slot, scales);
    code = engine_submit(g, slot, b->jobs, item->chunks, e);
    if (code == OK) {
        code = engine_wait(g, slot, e);
    }
    if (code != OK) {
        return code;
    }
    collect_stats(p, item, b, slot);
    const pack_chunk first = pack_record_chunk(r, item->chunk);
    const pack_chunk last = pack_record_chunk(r, item->chunk + item->chunks - 1);
    return write_in_turn(p, item, first.off, slot->out, last.off + last.bytes - first.off, e);
}

/* ---- one item, all items --------------------------------------- */

static err_code run_item(void *ctx, unsigned worker, uint64_t task, err *e)
{
    pipeline *const p = ctx;
    const work_item *const item = &p->work.items[task];
    const pack_record *const r = &p->job->plan->table.records[item->record];
    engine_slot *const slot = &p->job->engine->slots[worker];
    const bench *const b = &p->benches[worker];
    const pack_chunk first = pack_record_chunk(r, item->chunk);
    err_code code = OK;
    if (nonfinite_wanted(&p->nonfinite, chunk_source(r, &first))) {
        code = read_item(p, item, b, slot, e);
        if (code == OK) {
            code = pack_record_has_stats(r) ? quantize_item(p, item, b, slot, e)
                                            : write_copies(p, item, b, e);
        }
    }
    if (code == OK) {
        code = await_turn(p, item, e);
    }
    if (code == OK && scale_runs_take_part(r)) {
        code = scale_runs_finish(p->runs, item->record, p->job->out, p->evidence, e);
    }
    if (code == OK) {
        sequencer_leave(&p->turns, task);
    } else {
        sequencer_stop(&p->turns);
        scale_runs_stop(p->runs);
    }
    return code;
}

/* From chunks to slices and source tensors, in ascending order: sums do not depend on who made the
 * parts. */
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
            digest_combine(DIGEST_XXH3,
                           p->reader.pieces + (r->chunk_first + k * per_source) * XXH3_BYTES,
                           per_source, pack_evidence_source(p->evidence, r->source_first + k));
        }
        if (pack_record_has_stats(r)) {
            combine_stats(p, r);
        }
    }
}

/* The tensor to keep, so that `t` stays as it is: scales go with their weight. */
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
    err_set(e, ERR_INPUT,
            "%s: tensor %s: an infinity or NaN at index %" PRIu64 ", the first of %" PRIu64,
            p->job->cp->shards[t->shard].path, t->name, p->nonfinite.first, p->nonfinite.count);
    err_hint(e, "--keep '%s' leaves the tensor as it is", kept_by(p->job->plan, t)->name);
    return ERR_INPUT;
}

static uint64_t bench_bytes(const work_list *w, uint64_t scale_room)
{
    return scale_room + w->max_chunks * (sizeof(unsigned char *) + sizeof(engine_job)) +
           w->max_tiles * sizeof(tile_stats);
}

err_code pipeline_measure(const plan *p, size_t in_bytes, size_t out_bytes, pipeline_need *out,
                          err *e)
{
    work_list work;
    const err_code code = work_list_make(&p->table, in_bytes, out_bytes, &work, e);
    if (code == OK) {
        out->max_tiles = work.max_tiles;
        out->slot_bytes =
            bench_bytes(&work, chunk_scale_room(p)) + work.max_tiles * ENGINE_TILE_BYTES;
        work_list_free(&work);
    }
    return code;
}

static bool bench_make(bench *b, const work_list *w, uint64_t scale_room)
{
    b->scales = malloc(scale_room + 1);
    b->data = calloc(w->max_chunks + 1, sizeof *b->data);
    b->jobs = calloc(w->max_chunks + 1, sizeof *b->jobs);
    b->tiles = calloc(w->max_tiles + 1, sizeof *b->tiles);
    return b->data && b->jobs && b->tiles && b->scales;
}

static err_code pipeline_open(pipeline *p, err *e)
{
    const pack_table *const t = &p->job->plan->table;
    const engine *const g = p->job->engine;
    nonfinite_open(&p->nonfinite);
    sequencer_open(&p->turns, p->m);
    err_code code = work_list_make(t, g->in_bytes, g->out_bytes, &p->work, e);
    if (code == OK) {
        code = scale_runs_open(t, &p->work, p->m, &p->runs, e);
    }
    p->benches = calloc(p->job->slots, sizeof *p->benches);
    p->reader.pieces = calloc(t->chunk_count + 1, XXH3_BYTES);
    p->chunk_stats = calloc(t->chunk_count + 1, sizeof *p->chunk_stats);
    bool complete = p->benches && p->reader.pieces && p->chunk_stats;
    const uint64_t scale_room = chunk_scale_room(p->job->plan);
    for (unsigned i = 0; i < p->job->slots && complete; i++) {
        complete = bench_make(&p->benches[i], &p->work, scale_room);
    }
    return code == OK && !complete ? err_set(e, ERR_MEMORY, "no memory for the pipeline") : code;
}

static void pipeline_close(pipeline *p)
{
    for (unsigned i = 0; p->benches && i < p->job->slots; i++) {
        free(p->benches[i].data);
        free(p->benches[i].jobs);
        free(p->benches[i].tiles);
        free(p->benches[i].scales);
    }
    free(p->benches);
    free(p->reader.pieces);
    free(p->chunk_stats);
    scale_runs_close(p->runs);
    sequencer_close(&p->turns);
    work_list_free(&p->work);
    nonfinite_close(&p->nonfinite);
}

err_code pipeline_run(const pipeline_job *job, const monitor *m, pack_evidence *v,
                      uint64_t *nonfinite_kept, err *e)
{
    pipeline p = {
        .job = job, .m = m, .evidence = v, .reader = {.plan = job->plan, .cp = job->cp, .m = m}};
    err_code code = pipeline_open(&p, e);
    if (code == OK) {
        code = parallel_for(job->slots, p.work.count, run_item, &p, m, e);
    }
    if (code == OK && p.nonfinite.source != UINT64_MAX) {
        code = refuse_nonfinite(&p, e);
    }
    if (code == OK) {
        combine_evidence(&p);
        *nonfinite_kept = p.nonfinite.kept_count;
        if (p.nonfinite.kept_count > 0) {
            monitor_note(m,
                         "%" PRIu64
                         " element%s of kept tensors infinite or NaN, copied as they are; the "
                         "first in %s",
                         p.nonfinite.kept_count, p.nonfinite.kept_count == 1 ? "" : "s",
                         job->plan->table.records[p.nonfinite.kept_record].name);
        }
    }
    pipeline_close(&p);
    return code;
}
