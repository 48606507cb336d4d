/* The data of all pairs, unit by unit, on several threads. Every unit has its own finding, and
 * findings are added up in the order of units, so nothing depends on which worker took which. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "format/thread/worker_buffers.h"
#include "verify/diff/diff_job.h"

/* The parts of a worker's buffer: data of side A, data of side B, scales of A, scales of B. */
enum { PART_DATA, PART_SCALES = 2 };
_Static_assert(WORKER_BUFFER_ALIGN % DIRECT_ALIGN == 0, "read_piece reads past the page cache");

/* The chunks of scales that a worker has in its buffer, by side. A chunk has the scales of many
 * units if slices are small: it is read and digested once, not for each of them. */
typedef struct kept_scales {
    pack_range of[2];
} kept_scales;

typedef struct unit_job {
    diff_job *j;
    diff_unit *units; /* that have to be read, in the order of pairs */
    diff_finding *findings;
    size_t count, capacity;
    size_t planned; /* units so far, also those that are known to be equal */
    uint64_t total_bytes;
    worker_need need; /* of the largest unit */
    worker_buffers buffers;
    kept_scales *kept; /* [buffers.workers] */
} unit_job;

/* ---- where the bytes of a unit lie ----------------------------- */

/* The bytes of one side of a unit: in a tensor of a checkpoint, or in the data of a record, where
 * the whole chunks around them are read to check their digests. */
typedef struct piece {
    const tensor *source; /* NULL: a packed file */
    uint64_t off, bytes;  /* within the tensor, or within the record */
    pack_range chunks;
} piece;

static piece piece_in_record(const pack_record *r, uint64_t off, uint64_t bytes)
{
    return (piece){.off = off, .bytes = bytes, .chunks = pack_record_range(r, off, bytes)};
}

static piece data_piece(const diff_job *j, const diff_unit *u, int side)
{
    const diff_pair *const p = &j->pairs[u->pair];
    const store_tensor *const t = p->side[side];
    const uint64_t each = p->way == DIFF_PLAIN ? 1 : dtype_bits(t->type) / 8;
    const uint64_t off = (u->slice * p->slice_size + u->begin) * each;
    if (t->of_source) {
        return (piece){.source = t->of_source, .off = off, .bytes = u->size * each};
    }
    const uint64_t before = t->off - t->of_record->off; /* members of a stack */
    return piece_in_record(t->of_record, before + off, u->size * each);
}

static bool has_scales(const diff_pair *p, int side)
{
    return p->way == DIFF_CODED || (p->way == DIFF_ROUNDED && (unsigned)side == p->coded);
}

static piece scale_piece(const diff_job *j, const diff_unit *u, int side)
{
    const diff_pair *const p = &j->pairs[u->pair];
    const store_tensor *const t = p->side[side];
    const uint64_t each = dtype_bits(t->scale_type) / 8;
    const uint64_t bytes = diff_tiles(p, u->size) * each;
    const uint64_t off = (u->slice * diff_tiles(p, p->slice_size) + diff_tiles(p, u->begin)) * each;
    if (t->source_scales) {
        return (piece){.source = t->source_scales, .off = off, .bytes = bytes};
    }
    const pack_record *const r = t->scale_record;
    return piece_in_record(r, t->scale_off - r->off + off, bytes);
}

/* ---- what is equal by digests ---------------------------------- */

/* Are two pieces the same bytes of chunks whose digests are equal? */
static bool same_chunks(const diff_job *j, const piece *a, const piece *b)
{
    const pack_evidence *const v = j->evidence;
    const pack_range *const x = &a->chunks;
    const pack_range *const y = &b->chunks;
    bool same = v[0].alg == v[1].alg && x->count == y->count && x->bytes == y->bytes &&
                a->off - x->begin == b->off - y->begin;
    for (uint64_t i = 0; i < x->count && same; i++) {
        const uint64_t left = x->record->chunk_first + x->first + i;
        const uint64_t right = y->record->chunk_first + y->first + i;
        same = pack_record_chunk(x->record, x->first + i).bytes ==
                   pack_record_chunk(y->record, y->first + i).bytes &&
               memcmp(pack_evidence_chunk(&v[0], left), pack_evidence_chunk(&v[1], right),
                      digest_bytes(v[0].alg)) == 0;
    }
    return same;
}

/* Is the unit of two packed files equal by its digests? */
static bool is_known_equal(const diff_job *j, const diff_unit *u)
{
    const diff_pair *const p = &j->pairs[u->pair];
    if (j->options->full || !j->stores[0]->packed || !j->stores[1]->packed ||
        p->way == DIFF_ROUNDED) {
        return false;
    }
    const piece data[] = {data_piece(j, u, 0), data_piece(j, u, 1)};
    if (p->way == DIFF_PLAIN || !same_chunks(j, &data[0], &data[1])) {
        return same_chunks(j, &data[0], &data[1]);
    }
    const piece scales[] = {scale_piece(j, u, 0), scale_piece(j, u, 1)};
    return same_chunks(j, &scales[0], &scales[1]);
}

/* ---- one unit -------------------------------------------------- */

/* The size of the buffer into which a piece is read. */
static uint64_t buffer_bytes(const piece *at)
{
    uint64_t bytes = at->source ? direct_room(at->bytes) : at->chunks.bytes;
    return num_align_up(bytes, DIRECT_ALIGN, &bytes) ? bytes : UINT64_MAX;
}

/* *data: where in `buffer` the piece begins. */
static err_code read_piece(const diff_job *j, int side, const piece *at, unsigned char *buffer,
                           const unsigned char **data, err *e)
{
    const store *const s = j->stores[side];
    if (at->source) {
        unsigned char *found = NULL;
        TRY(checkpoint_read_room(s->source, at->source, at->off, buffer, at->bytes, NULL, &found,
                                 e));
        *data = found;
        return OK;
    }
    *data = buffer + (at->off - at->chunks.begin);
    return pack_read_range(s->packed, &j->evidence[side], &at->chunks, j->monitor, buffer, e);
}

static bool is_same_range(const pack_range *a, const pack_range *b)
{
    return a->record && a->record == b->record && a->begin == b->begin && a->bytes == b->bytes;
}

static err_code read_scales(const unit_job *w, unsigned worker, int side, const piece *at,
                            const unsigned char **data, err *e)
{
    pack_range *const kept = &w->kept[worker].of[side];
    unsigned char *const buffer =
        worker_buffers_part(&w->buffers, worker, PART_SCALES + (unsigned)side);
    if (!at->source && is_same_range(kept, &at->chunks)) {
        *data = buffer + (at->off - at->chunks.begin);
        return OK;
    }
    *kept = (pack_range){0};
    TRY(read_piece(w->j, side, at, buffer, data, e));
    *kept = at->chunks;
    return OK;
}

static err_code compare_unit(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const unit_job *const w = ctx;
    const diff_unit *const u = &w->units[task];
    const diff_pair *const p = &w->j->pairs[u->pair];
    diff_data d = {0};
    for (int side = 0; side < 2; side++) {
        const unsigned which = (unsigned)side;
        const piece data = data_piece(w->j, u, side);
        TRY(read_piece(w->j, side, &data,
                       worker_buffers_part(&w->buffers, worker, PART_DATA + which), &d.data[side],
                       e));
        if (has_scales(p, side)) {
            const piece scales = scale_piece(w->j, u, side);
            TRY(read_scales(w, worker, side, &scales, &d.scales[side], e));
        }
        monitor_advance(w->j->monitor, data.bytes);
    }
    return diff_compare(w->j, u, &d, &w->findings[task], e);
}

/* ---- all units ------------------------------------------------- */

static void measure(unit_job *w, const diff_unit *u)
{
    const diff_pair *const p = &w->j->pairs[u->pair];
    uint64_t *const bytes = w->need.bytes; /* of the larger side, for both */
    for (int side = 0; side < 2; side++) {
        const piece data = data_piece(w->j, u, side);
        if (buffer_bytes(&data) > bytes[PART_DATA]) {
            bytes[PART_DATA] = bytes[PART_DATA + 1] = buffer_bytes(&data);
            w->need.tensor = p->side[side]->name;
        }
        if (has_scales(p, side)) {
            const piece scales = scale_piece(w->j, u, side);
            const uint64_t most = num_max(bytes[PART_SCALES], buffer_bytes(&scales));
            bytes[PART_SCALES] = bytes[PART_SCALES + 1] = most;
        }
        w->total_bytes += data.bytes;
    }
}

static err_code add_unit(unit_job *w, const diff_unit *u, err *e)
{
    if (is_known_equal(w->j, u)) {
        return OK;
    }
    if (w->count == w->capacity) {
        TRY(worker_list_check(w->j->pairs[u->pair].side[0]->name, "pieces", w->count + 1,
                              sizeof *w->units + sizeof *w->findings, w->j->options->memory, e));
        const size_t capacity = w->capacity ? 2 * w->capacity : 1024;
        diff_unit *const grown = reallocarray(w->units, capacity, sizeof *grown);
        if (!grown) {
            return err_set(e, ERR_MEMORY, "no memory for %zu pieces", capacity);
        }
        w->units = grown;
        w->capacity = capacity;
    }
    w->units[w->count++] = *u;
    measure(w, u);
    return OK;
}

static err_code plan_units(unit_job *w, err *e)
{
    for (size_t i = 0; i < w->j->report->count; i++) {
        const diff_pair *const p = &w->j->pairs[i];
        const uint64_t slices = p->way == DIFF_NOT ? 0 : p->slices;
        for (diff_unit u = {.pair = i}; u.slice < slices; u.slice++) {
            for (u.begin = 0; u.begin < p->slice_size; u.begin += p->unit_size) {
                TRY(monitor_step(w->j->monitor, w->planned++, e));
                u.size = num_min(p->unit_size, p->slice_size - u.begin);
                TRY(add_unit(w, &u, e));
            }
        }
    }
    w->findings = calloc(w->count + 1, sizeof *w->findings);
    return w->findings ? OK : err_set(e, ERR_MEMORY, "no memory for %zu findings", w->count);
}

/* ---- from findings to results ---------------------------------- */

static void add_finding(const diff_unit *u, const diff_finding *f, diff_result *r)
{
    if (f->different > 0) {
        r->first = r->different ? r->first : f->first;
        r->different += f->different;
    }
    if (f->different_scales > 0) {
        r->first_scale = r->different_scales ? r->first_scale : f->first_scale;
        r->different_scales += f->different_scales;
    }
    if (f->largest >= 0) {
        r->largest = fmax(r->largest, f->largest);
    }
    if (f->worst_sqnr < INFINITY && !(f->worst_sqnr >= r->worst_tile_sqnr)) {
        r->worst_tile_sqnr = f->worst_sqnr;
        r->worst_slice = u->slice;
        r->worst_row = f->worst_row;
        r->worst_col = f->worst_col;
    }
}

static void judge(const diff_pair *p, double source, double error, diff_result *r)
{
    const uint64_t each = num_max(1, dtype_bits(p->side[0]->type) / 8);
    r->elements = p->slices * p->slice_size / (p->way == DIFF_PLAIN ? each : 1);
    r->measured = p->way == DIFF_ROUNDED;
    if (r->measured) {
        r->sqnr = error == 0 ? NAN : 10 * log10(source / error);
        r->what |= r->different + r->different_scales > 0 ? (unsigned)DIFF_ROUNDING : 0;
        return;
    }
    const unsigned elements = p->way == DIFF_PLAIN ? DIFF_BITS : DIFF_CODES;
    r->what |= r->different > 0 ? elements : 0;
    r->what |= r->different_scales > 0 ? (unsigned)DIFF_SCALES : 0;
}

static void add_up(const unit_job *w)
{
    diff_report *const all = w->j->report;
    size_t at = 0;
    for (size_t i = 0; i < all->count; i++) {
        diff_result *const r = &all->results[i];
        double source = 0;
        double error = 0;
        r->largest = r->worst_tile_sqnr = r->sqnr = NAN;
        for (; at < w->count && w->units[at].pair == i; at++) {
            add_finding(&w->units[at], &w->findings[at], r);
            source += w->findings[at].sum_sq_source;
            error += w->findings[at].sum_sq_error;
        }
        if (w->j->pairs[i].way != DIFF_NOT) {
            judge(&w->j->pairs[i], source, error, r);
        }
        all->sum_sq_source += source;
        all->sum_sq_error += error;
    }
    all->bytes_read = w->total_bytes;
}

err_code diff_units(diff_job *j, err *e)
{
    unit_job w = {.j = j,
                  .need = {.task = "comparing a piece",
                           .tensor = "",
                           .memory = j->options->memory,
                           .threads = j->options->threads}};
    err_code code = OK;
    TRY_OUT(plan_units(&w, e));
    TRY_OUT(worker_buffers_create(&w.buffers, &w.need, e));
    w.kept = calloc(w.buffers.workers + (size_t)1, sizeof *w.kept);
    TRY_OUT(w.kept ? OK : err_set(e, ERR_MEMORY, "no memory for %u workers", w.buffers.workers));
    monitor_stage(j->monitor, "diff", w.total_bytes);
    TRY_OUT(parallel_for(w.buffers.workers, w.count, compare_unit, &w, j->monitor, e));
    add_up(&w);
out:
    worker_buffers_free(&w.buffers);
    free(w.kept);
    free(w.findings);
    free(w.units);
    return code;
}
