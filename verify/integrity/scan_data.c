/* Tensor data: every chunk against its digest, and the padding between tensors.
 *
 * The file is read from front to back in batches: runs of chunks, with the padding before them,
 * that fit a buffer. Workers take batches in file order and store digests in an array; one thread
 * judges them afterwards, so the report does not depend on the number of workers. Judging needs
 * all digests of a record at once anyway: adjacent damaged chunks are reported as one, and if CHNK
 * is damaged, only the digest of a whole record can tell whether its chunks are intact. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/glob.h"
#include "format/file/direct.h"
#include "format/file/io.h"
#include "format/tensor/tensor_name.h"
#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "format/thread/worker_buffers.h"
#include "format/file/pipe.h"
#include "format/tensor/scale_value.h"
#include "verify/integrity/scan.h"

enum { BATCH_BYTES = 4 << 20 };

typedef struct batch {
    uint64_t first, count; /* chunk numbers in the file */
    uint64_t begin, end;   /* byte offsets in the file */
} batch;

struct data_scan {
    scan *scan;
    scan_stream *stream; /* NULL: read scan->fd */
    const pack_table *table;
    bool *chosen;        /* [table.chunk_count] the glob matches, and the file has all its bytes */
    pack_evidence found; /* only `chunks`: digests of the chosen chunks */
    uint64_t *odd_scale; /* [table.chunk_count] 1 + offset in the chunk of the first scale that
                            violates POW2; 0: none does */
    batch *batches;
    uint64_t batch_count;
    uint64_t largest; /* bytes of the largest chosen chunk, which is one of largest_name */
    const char *largest_name;
    damage_list padding; /* findings between chunks */
    unsigned workers;
    unsigned char **buffers; /* [workers], each for a batch of batch_bytes */
    size_t batch_bytes;
    direct_file file; /* of a file that was just written */
};

/* Does the glob match this slice, by the name of the record or of the member of the stack? */
static bool slice_chosen(const char *glob, const pack_record *r, uint64_t slice)
{
    char member[NAME_MAX_BYTES + 1];
    return !glob || glob_match(glob, r->name) ||
           (r->cls != CLASS_SCALES && name_expand_stack(r->name, slice, member) &&
            glob_match(glob, member));
}

static err_code choose(data_scan *d, err *e)
{
    const char *const glob = d->scan->options->tensor_glob;
    bool any = false;
    for (uint32_t i = 0; i < d->table->count; i++) {
        const pack_record *const r = &d->table->records[i];
        any = any || slice_chosen(glob, r, 0);
        for (uint64_t k = 0; k < r->chunk_count; k++) {
            TRY(monitor_step(d->scan->monitor, k, e));
            const pack_chunk c = pack_record_chunk(r, k);
            const bool chosen = slice_chosen(glob, r, c.slice);
            d->chosen[r->chunk_first + k] = chosen;
            any = any || chosen;
            if (chosen && c.bytes > d->largest) {
                d->largest = c.bytes;
                d->largest_name = r->name;
            }
        }
    }
    return any || !glob ? OK
                        : err_set(e, ERR_USAGE, "%s: no tensor matches '%s'", d->scan->path, glob);
}

/* One buffer per worker, large enough for the largest chunk and the padding before it. If the
 * buffers exceed the budget, first use fewer workers, then smaller batches. */
static err_code size_buffers(data_scan *d, err *e)
{
    const integrity_options *const o = d->scan->options;
    const pack_written *const w = o->written;
    const uint64_t budget = w ? w->buffer_bytes - PACK_WRITTEN_MARGIN : o->memory;
    const uint64_t least = d->largest + PACK_ALIGN;
    if (d->largest > 0 && least > budget) {
        return err_set(e, ERR_MEMORY,
                       "%s: tensor %s: a chunk needs a buffer of %" PRIu64 " bytes, %" PRIu64
                       " are allowed",
                       d->scan->path, d->largest_name, least, budget);
    }
    const uint64_t useful = num_min(BATCH_BYTES, d->table->data_end - d->table->data_off);
    d->workers = w ? w->buffer_count : (unsigned)num_max(1, num_min(o->threads, budget / least));
    d->batch_bytes = num_max(least, num_min(useful, w ? budget : budget / d->workers));
    return OK;
}

/* Cut the chosen chunks into batches. Without a glob, a batch includes the padding before its first
 * chunk; with one, it starts at that chunk, and ends where a chunk is skipped. Chunks beyond the
 * end of a file are skipped: scan_length reports what is missing. */
static err_code plan_batches(data_scan *d, err *e)
{
    const bool all = d->scan->options->tensor_glob == NULL;
    uint64_t cursor = d->table->data_off;
    batch *b = NULL;
    for (uint32_t i = 0; i < d->table->count; i++) {
        const pack_record *const r = &d->table->records[i];
        for (uint64_t k = 0; k < r->chunk_count; k++) {
            TRY(monitor_step(d->scan->monitor, k, e));
            const pack_chunk c = pack_record_chunk(r, k);
            const uint64_t number = r->chunk_first + k;
            const uint64_t end = c.off + c.bytes;
            if (!d->chosen[number] || (!d->stream && end > d->scan->file_bytes)) {
                b = NULL;
                d->chosen[number] = false;
            } else if (b && end - b->begin <= d->batch_bytes) {
                b->count++;
                b->end = end;
            } else {
                b = &d->batches[d->batch_count++];
                *b = (batch){number, 1, all ? cursor : c.off, end};
            }
            cursor = end;
        }
    }
    return OK;
}

static void tensor_place(const pack_record *r, char place[NAME_MAX_BYTES + 8])
{
    snprintf(place, NAME_MAX_BYTES + 8, "tensor %s", r->name);
}

static bool chunk_differs(const data_scan *d, uint64_t number)
{
    const pack_evidence stored = {.alg = d->found.alg, .chunks = d->scan->chunk_digests};
    return d->chosen[number] &&
           memcmp(pack_evidence_chunk(&d->found, number), pack_evidence_chunk(&stored, number),
                  digest_bytes(stored.alg)) != 0;
}

/* One plus the offset of the first scale that is not a power of two, for a record that claims that
 * all are (POW2); 0: all are. */
static uint64_t find_odd_scale(dtype type, const unsigned char *scales, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i += dtype_bits(type) / 8) {
        if (!scale_is_pow2(scale_value(type, scales + i))) {
            return i + 1;
        }
    }
    return 0;
}

/* The stream ended at `end`: drop the chunks that it did not reach. */
static void cut_batch(const data_scan *d, batch *b, uint64_t end)
{
    for (uint64_t number = b->first; number < b->first + b->count; number++) {
        const pack_record *const r = &d->table->records[pack_table_chunk_owner(d->table, number)];
        const pack_chunk c = pack_record_chunk(r, number - r->chunk_first);
        if (c.off + c.bytes > end) {
            for (uint64_t k = number; k < b->first + b->count; k++) {
                d->chosen[k] = false;
            }
            b->count = number - b->first;
        }
    }
    b->end = end;
}

/* Batches are read from a stream in their order; the work on what was read is done in parallel. */
static err_code read_streamed(const data_scan *d, batch *b, uint64_t task, unsigned char *data,
                              err *e)
{
    scan_stream *const stream = d->stream;
    const size_t wanted = b->end - b->begin;
    size_t got = 0;
    err_code code = OK;
    TRY_OUT(sequencer_enter(&stream->turns, task, e));
    if (!stream->ended) {
        TRY_OUT(pipe_read(stream->fd, stream->name, stream->monitor, data, wanted, &got, e));
    }
    stream->at += got;
    stream->ended = got < wanted;
    sequencer_leave(&stream->turns, task);
    if (got < wanted) {
        cut_batch(d, b, b->begin + got);
    }
out:
    if (code != OK) {
        sequencer_stop(&stream->turns);
    }
    return code;
}

/* *data: where the batch begins in the buffer of this worker. */
static err_code read_batch(data_scan *d, unsigned worker, uint64_t task, unsigned char **data,
                           err *e)
{
    batch *const b = &d->batches[task];
    const size_t bytes = b->end - b->begin;
    *data = d->buffers[worker];
    if (d->stream) {
        return read_streamed(d, b, task, *data, e);
    }
    return d->scan->options->written
               ? direct_read(&d->file, b->begin, *data, bytes, NULL, data, e)
               : io_read_at(d->scan->fd, d->scan->path, b->begin, *data, bytes, e);
}

static err_code check_batch(void *ctx, unsigned worker, uint64_t task, err *e)
{
    data_scan *const d = ctx;
    const batch *const b = &d->batches[task];
    unsigned char *data = NULL;
    TRY(read_batch(d, worker, task, &data, e));
    uint64_t cursor = b->begin;
    for (uint64_t number = b->first; number < b->first + b->count; number++) {
        const pack_record *const r = &d->table->records[pack_table_chunk_owner(d->table, number)];
        const pack_chunk c = pack_record_chunk(r, number - r->chunk_first);
        if (!d->scan->options->tensor_glob) {
            scan_padding(&d->padding, data + (cursor - b->begin), cursor, c.off - cursor);
        }
        TRY(monitor_step(d->scan->monitor, number - b->first, e));
        TRY(digest_long(d->found.alg, data + (c.off - b->begin), c.bytes, d->scan->monitor,
                        pack_evidence_chunk(&d->found, number), e));
        if (r->cls == CLASS_SCALES && r->block.scale == SCALES_UE8M0) {
            d->odd_scale[number] = find_odd_scale(r->type, data + (c.off - b->begin), c.bytes);
        }
        cursor = c.off + c.bytes;
    }
    monitor_advance(d->scan->monitor, b->end - b->begin);
    return OK;
}

/* ---- judging --------------------------------------------------- */

/* Report chunks [from, to) of a record: one slice, one run. */
static void report_run(data_scan *d, const pack_record *r, uint64_t from, uint64_t to)
{
    char place[NAME_MAX_BYTES + 8];
    tensor_place(r, place);
    const pack_chunk first = pack_record_chunk(r, from);
    const pack_chunk last = pack_record_chunk(r, to - 1);
    const damage at = {
        .slice = pack_record_slices(r) > 1 ? (int64_t)first.slice : -1,
        .chunk = (int64_t)from,
        .off = first.off,
        .bytes = last.off + last.bytes - first.off,
        .code = ERR_DAMAGED,
    };
    if (to - from == 1) {
        damage_add(&d->scan->damages, &at, place, "the digest of its chunk does not match");
    } else {
        damage_add(&d->scan->damages, &at, place, "the digests of %" PRIu64 " chunks do not match",
                   to - from);
    }
}

/* Report every run of chunks that differ from CHNK. *any: there is one. */
static err_code judge_by_chunks(data_scan *d, const pack_record *r, bool *any, err *e)
{
    *any = false;
    for (uint64_t k = 0; k < r->chunk_count;) {
        TRY(monitor_step(d->scan->monitor, k, e));
        uint64_t end = k;
        const uint64_t slice = pack_record_chunk(r, k).slice;
        while (end < r->chunk_count && chunk_differs(d, r->chunk_first + end) &&
               pack_record_chunk(r, end).slice == slice) {
            end++;
        }
        if (end > k) {
            report_run(d, r, k, end);
            *any = true;
        }
        k = num_max(end, k + 1);
    }
    return OK;
}

/* CHNK is damaged: does the record's own digest follow from the chunks as they are? If not, the
 * chunks that differ from what is left of CHNK are reported: the damaged ones are among them. */
static err_code judge_by_tensor(data_scan *d, uint32_t record, err *e)
{
    const pack_record *const r = &d->table->records[record];
    for (uint64_t k = 0; k < r->chunk_count; k++) {
        if (!d->chosen[r->chunk_first + k]) {
            return OK;
        }
    }
    const pack_evidence stored = {.alg = d->found.alg, .tensors = d->scan->tensor_digests};
    unsigned char digest[DIGEST_MAX];
    TRY(pack_tensor_digest(&d->found, r, digest, e));
    if (memcmp(digest, pack_evidence_tensor(&stored, record), digest_bytes(stored.alg)) == 0) {
        return OK;
    }
    bool any = false;
    if (d->scan->chunk_digests) {
        TRY(judge_by_chunks(d, r, &any, e));
    }
    if (!any) {
        char place[NAME_MAX_BYTES + 8];
        tensor_place(r, place);
        damage_add(&d->scan->damages, &DAMAGED_AT(r->off, r->len), place,
                   "its digest does not match");
    }
    return OK;
}

/* Report scales that violate POW2, in chunks that are what was written: in damaged chunks they
 * would be a consequence. */
static err_code judge_scales(const data_scan *d, const pack_record *r, err *e)
{
    for (uint64_t k = 0; k < r->chunk_count; k++) {
        TRY(monitor_step(d->scan->monitor, k, e));
        const uint64_t number = r->chunk_first + k;
        if (d->chosen[number] && d->odd_scale[number] > 0 && !chunk_differs(d, number)) {
            char place[NAME_MAX_BYTES + 8];
            tensor_place(r, place);
            const uint64_t off = pack_record_chunk(r, k).off + d->odd_scale[number] - 1;
            damage_add(&d->scan->damages, &ILLEGAL_AT(off, dtype_bits(r->type) / 8), place,
                       "a scale is not a power of two, as POW2 requires");
        }
    }
    return OK;
}

static err_code judge(data_scan *d, err *e)
{
    for (uint64_t i = 0; i < d->batch_count; i++) {
        TRY(monitor_step(d->scan->monitor, i, e));
        d->scan->chunks_checked += d->batches[i].count;
        d->scan->bytes_checked += d->batches[i].end - d->batches[i].begin;
    }
    for (uint32_t i = 0; i < d->table->count; i++) {
        TRY(monitor_step(d->scan->monitor, 0, e));
        if (d->scan->chunk_digests_intact) {
            bool any = false;
            TRY(judge_by_chunks(d, &d->table->records[i], &any, e));
            TRY(judge_scales(d, &d->table->records[i], e));
        } else {
            TRY(judge_by_tensor(d, i, e));
        }
    }
    return OK;
}

/* A stream may claim chunks by the billion before any of them arrives. */
static err_code allocate(data_scan *d, err *e)
{
    const integrity_options *const o = d->scan->options;
    const uint64_t chunks = d->table->chunk_count + 1;
    const size_t each =
        sizeof *d->chosen + sizeof *d->batches + sizeof *d->odd_scale + digest_bytes(d->found.alg);
    if (!o->written) {
        TRY(worker_list_check(d->scan->path, "chunks", chunks - 1, each, o->memory, e));
    }
    d->chosen = calloc(chunks, sizeof *d->chosen);
    d->batches = calloc(chunks, sizeof *d->batches);
    d->odd_scale = calloc(chunks, sizeof *d->odd_scale);
    d->found.chunks = calloc(chunks, digest_bytes(d->found.alg));
    return d->chosen && d->batches && d->odd_scale && d->found.chunks
               ? OK
               : err_set(e, ERR_MEMORY, "%s: no memory for %" PRIu64 " chunks", d->scan->path,
                         chunks);
}

/* The buffers that came with a file that was just written are the caller's. */
static err_code take_buffers(data_scan *d, err *e)
{
    const pack_written *const w = d->scan->options->written;
    d->buffers = calloc(d->workers, sizeof *d->buffers);
    for (unsigned i = 0; d->buffers && i < d->workers; i++) {
        d->buffers[i] = w ? w->buffers[i] : malloc(d->batch_bytes);
        if (!d->buffers[i]) {
            return err_set(e, ERR_MEMORY, "%s: no memory for %u buffers of %zu bytes",
                           d->scan->path, d->workers, d->batch_bytes);
        }
    }
    return d->buffers ? OK : err_set(e, ERR_MEMORY, "%s: no memory", d->scan->path);
}

uint64_t scan_last_end(const pack_table *t)
{
    const pack_record *const r = t->count > 0 ? &t->records[t->count - 1] : NULL;
    return r ? r->off + r->len : t->data_off;
}

err_code data_scan_begin(scan *s, const pack_table *t, digest_alg alg, scan_stream *stream,
                         data_scan **out, err *e)
{
    data_scan *const d = calloc(1, sizeof *d);
    *out = d;
    if (!d) {
        return err_set(e, ERR_MEMORY, "%s: no memory", s->path);
    }
    d->scan = s;
    d->stream = stream;
    d->table = t;
    d->found.alg = alg;
    direct_init_written(&d->file, s->path, s->fd);
    damage_list_init(&d->padding);
    TRY(allocate(d, e));
    TRY(choose(d, e));
    TRY(size_buffers(d, e));
    TRY(plan_batches(d, e));
    return take_buffers(d, e);
}

err_code data_scan_read(data_scan *d, err *e)
{
    if (!d->stream) {
        posix_fadvise(d->scan->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    if (!d->scan->options->written) { /* whose stage has begun */
        monitor_stage(d->scan->monitor, "verify", d->table->data_end - d->table->data_off);
    }
    return parallel_for(d->workers, d->batch_count, check_batch, d, d->scan->monitor, e);
}

err_code data_scan_judge(data_scan *d, err *e)
{
    if (!d->scan->options->tensor_glob) {
        TRY(scan_padding_at(d->scan, scan_last_end(d->table), d->table->data_end, e));
    }
    damage_list_move(&d->padding, &d->scan->damages);
    d->scan->through_cache = atomic_load(&d->file.through);
    TRY(judge(d, e));
    d->scan->tensors_checked = true;
    return OK;
}

void data_scan_free(data_scan *d)
{
    if (!d) {
        return;
    }
    for (unsigned i = 0; d->buffers && !d->scan->options->written && i < d->workers; i++) {
        free(d->buffers[i]);
    }
    direct_close_written(&d->file);
    free(d->buffers);
    free(d->batches);
    free(d->odd_scale);
    free(d->chosen);
    free(d->found.chunks);
    damage_list_free(&d->padding);
    free(d);
}

err_code scan_data(scan *s, err *e)
{
    data_scan *d = NULL;
    err_code code = OK;
    /* Neither is loaded without a table, nor if only the structure is to be checked. */
    if (!s->chunk_digests_intact && !s->tensor_digests_intact) {
        return OK;
    }
    TRY_OUT(data_scan_begin(s, &s->table, s->superblock.digest, NULL, &d, e));
    TRY_OUT(data_scan_read(d, e));
    code = data_scan_judge(d, e);
out:
    data_scan_free(d);
    return code;
}
