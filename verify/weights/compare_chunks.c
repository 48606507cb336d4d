/* Every chunk of the packed file against its source. A chunk of a record and the piece of its
 * source that SDIG digests hold the same elements, so each is read once for all checks. Every chunk
 * has its own result, so nothing depends on which worker compared it. */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "format/file/io.h"
#include "format/pack/pack_read.h"
#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "format/thread/worker_buffers.h"
#include "format/tensor/scale_value.h"
#include "verify/rule/code_check.h"
#include "verify/weights/compare_steps.h"

/* The parts of a worker's buffer. The last two are for FP8 sources: their dequantized values and
 * their scales. */
enum { PART_SOURCE, PART_PACKED, PART_SCALES, PART_WIDE, PART_SOURCE_SCALES };

typedef struct buffers {
    unsigned char *source, *packed, *scales;
    unsigned char *wide, *source_scales;
} buffers;

typedef struct chunk_job {
    compare *c;
    code_rules rules;
    worker_need need; /* of the largest chunk */
    worker_buffers buffers;
    atomic_bool *intact; /* [table->chunk_count] of scales: the digest was found to match */
} chunk_job;

/* A chunk with its source. */
typedef struct chunk_place {
    const pack_record *r;
    pack_chunk chunk;
    const tensor *source; /* NULL: the chunk is not compared */
    uint64_t source_off;
    size_t source_bytes;
} chunk_place;

static chunk_place find_chunk(const compare *c, uint64_t number)
{
    const pack_record *const r = &c->table->records[pack_table_chunk_owner(c->table, number)];
    chunk_place at = {.r = r, .chunk = pack_record_chunk(r, number - r->chunk_first)};
    const uint64_t sources = pack_record_sources(r);
    if (sources > 0) {
        const uint64_t each = pack_record_slices(r) / sources; /* slices of one source tensor */
        const uint64_t slice_bytes = pack_record_slice_bytes(r);
        at.source = c->sources[r->source_first + at.chunk.slice / each];
        at.source_off = pack_source_bytes(r, at.chunk.slice % each * slice_bytes + at.chunk.begin);
        at.source_bytes = pack_source_bytes(r, at.chunk.bytes);
    }
    return at;
}

static uint64_t scale_bytes(const chunk_place *at)
{
    if (!pack_record_has_stats(at->r)) {
        return 0;
    }
    const pack_blocks blocks = pack_chunk_blocks(at->r, &at->chunk);
    return blocks.down * blocks.across * sizeof(float);
}

/* ---- requantized FP8 sources ----------------------------------- */

static const fp8_pair *pair_of(const compare *c, const chunk_place *at)
{
    const fp8_pair *const p = &c->pairs.of[at->source - c->cp->tensors];
    return pack_record_requantized(at->r) && p->kind == FP8_WEIGHT ? p : NULL;
}

static fp8_band band_of(const fp8_pair *p, const chunk_place *at)
{
    const uint64_t cols = pack_record_cols(at->r);
    const uint64_t slice = at->r->stack ? 0 : at->chunk.slice;
    return fp8_scale_band(p, at->source, slice, at->chunk.begin / cols, at->chunk.bytes / cols);
}

static err_code read_source_scales(const compare *c, const fp8_pair *p, const chunk_place *at,
                                   const buffers *b, err *e)
{
    const fp8_band band = band_of(p, at);
    return checkpoint_read(c->cp, p->other, band.off, b->source_scales, band.bytes, e);
}

/* Dequantize the source to F32 (spec/quant.md section 3). */
static err_code widen_source(const chunk_job *j, const fp8_pair *p, const chunk_place *at,
                             const buffers *b, err *e)
{
    const fp8_band band = band_of(p, at);
    const uint64_t cols = pack_record_cols(at->r);
    const uint64_t first_row = at->chunk.begin / cols;
    const uint64_t height = block_height(p->block, pack_record_rows(at->r));
    const uint64_t width = block_width(p->block, cols);
    const size_t each = dtype_bits(p->other->type) / 8;
    for (uint64_t i = 0; i < at->chunk.bytes; i++) {
        TRY(monitor_step(j->c->monitor, i, e));
        const uint64_t row = (first_row + i / cols) / height - band.first;
        const uint64_t scale = row * band.across + i % cols / width;
        const float x = j->rules.value[b->source[i]] *
                        scale_value(p->other->type, b->source_scales + scale * each);
        le_float_store(b->wide + i * sizeof x, x);
    }
    return OK;
}

/* ---- one chunk ------------------------------------------------- */

static void compare_bytes(const chunk_place *at, const buffers *b, chunk_result *out)
{
    if (memcmp(b->source, b->packed, at->chunk.bytes) == 0) {
        return;
    }
    for (uint64_t i = 0; i < at->chunk.bytes; i++) {
        if (b->source[i] != b->packed[i]) {
            out->first_wrong = out->wrong ? out->first_wrong : at->chunk.begin + i;
            out->wrong++;
        }
    }
}

/* Add the verdict on a tile to the result of its chunk. `row`, `col`: in tiles, of the slice. */
static void add_tile(const chunk_place *at, const tile_verdict *v, uint64_t row, uint64_t col,
                     chunk_result *out)
{
    const uint64_t cols = pack_record_cols(at->r);
    const block_format b = at->r->block;
    if (!v->scale_right) {
        const uint64_t index = row * block_across(b, cols) + col;
        out->first_wrong_scale = out->wrong_scales ? out->first_wrong_scale : index;
        out->wrong_scales++;
    }
    if (v->wrong_codes > 0) {
        const uint64_t index = (row * b.rows + v->wrong_row) * cols + col * b.cols + v->wrong_col;
        out->first_wrong = out->wrong ? num_min(out->first_wrong, index) : index;
        out->wrong += v->wrong_codes;
    }
    out->sum_sq_source += v->sum_sq_source;
    out->sum_sq_error += v->sum_sq_error;
    out->max_error = fmax(out->max_error, v->max_error);
    out->amax = fmaxf(out->amax, v->amax);
    out->scale_min = fminf(out->scale_min, v->scale);
    out->scale_max = fmaxf(out->scale_max, v->scale);
    out->saturated += v->saturated;
    out->zero += v->zero;
    out->flushed += v->flushed;
    const double sqnr = 10 * log10(v->sum_sq_source / v->sum_sq_error);
    if (v->sum_sq_error > 0 && sqnr < out->worst_sqnr) {
        out->worst_sqnr = sqnr;
        out->worst_row = row;
        out->worst_col = col;
    }
}

static err_code compare_tiles(const chunk_job *j, const chunk_place *at, const buffers *b,
                              chunk_result *out, err *e)
{
    const uint64_t cols = pack_record_cols(at->r);
    const uint64_t rows = at->chunk.bytes / cols;
    const uint64_t first_row = pack_chunk_blocks(at->r, &at->chunk).row;
    const block_format f = at->r->block;
    const bool wide = pack_record_requantized(at->r);
    const dtype type = wide ? DTYPE_F32 : at->r->src_type;
    const size_t each = dtype_bits(type) / 8;
    const unsigned char *scale = b->scales;
    size_t tile = 0;
    for (uint64_t row = 0; row < rows; row += f.rows) {
        for (uint64_t col = 0; col < cols; col += f.cols) {
            const size_t element = row * cols + col;
            const tile_view t = {
                .source = (wide ? b->wide : b->source) + element * each,
                .codes = b->packed + element,
                .type = type,
                .pitch = cols,
                .rows = (unsigned)num_min(f.rows, rows - row),
                .cols = (unsigned)num_min(f.cols, cols - col),
                .scale = le_float_load(scale),
                .scales = j->c->recipe.scales,
                .dialect = at->r->dialect,
            };
            tile_verdict v;
            TRY(monitor_step(j->c->monitor, tile++, e));
            tile_check(&j->rules, &t, &v);
            add_tile(at, &v, first_row + row / f.rows, col / f.cols, out);
            scale += sizeof(float);
        }
    }
    return OK;
}

static err_code read_scales(const chunk_job *j, const chunk_place *at, const buffers *b, err *e)
{
    const pack_file *const p = j->c->p;
    const pack_record *const s = &j->c->table->records[at->r->scale_idx];
    const uint64_t first = pack_chunk_blocks(at->r, &at->chunk).first;
    return io_read_at(p->fd, p->path, s->off + first * sizeof(float), b->scales, scale_bytes(at),
                      e);
}

/* The digest of a piece of an FP8 source covers its scales (spec/format.md section 7). */
static err_code digest_source(const chunk_place *at, const fp8_pair *p, const buffers *b,
                              unsigned char digest[XXH3_BYTES], err *e)
{
    if (!p) {
        digest_xxh3(b->source, at->source_bytes, digest);
        return OK;
    }
    digest_stream *stream = NULL;
    err_code code = OK;
    TRY_OUT(digest_open(DIGEST_XXH3, &stream, e));
    TRY_OUT(digest_add(stream, b->source, at->source_bytes, e));
    TRY_OUT(digest_add(stream, b->source_scales, band_of(p, at).bytes, e));
    TRY_OUT(digest_finish(stream, digest, e));
out:
    digest_close(stream);
    return code;
}

static buffers buffers_of(const chunk_job *j, unsigned worker)
{
    return (buffers){.source = worker_buffers_part(&j->buffers, worker, PART_SOURCE),
                     .packed = worker_buffers_part(&j->buffers, worker, PART_PACKED),
                     .scales = worker_buffers_part(&j->buffers, worker, PART_SCALES),
                     .wide = worker_buffers_part(&j->buffers, worker, PART_WIDE),
                     .source_scales = worker_buffers_part(&j->buffers, worker, PART_SOURCE_SCALES)};
}

/* Chunks of scales whose digests match. The scales of a stack are one slice, so a chunk has those of
 * many chunks of codes, and is checked for the first of them. */
static bool are_known(const chunk_job *j, const pack_range *scales)
{
    bool known = true;
    for (uint64_t i = 0; i < scales->count && known; i++) {
        known = atomic_load(&j->intact[scales->record->chunk_first + scales->first + i]);
    }
    return known;
}

static err_code check_scales(const chunk_job *j, const chunk_place *at, err *e)
{
    const compare *const c = j->c;
    const uint64_t first = pack_chunk_blocks(at->r, &at->chunk).first;
    const pack_range scales = pack_record_range(&c->table->records[at->r->scale_idx],
                                                first * sizeof(float), scale_bytes(at));
    if (are_known(j, &scales)) {
        return OK;
    }
    unsigned char *const data = malloc(scales.bytes + 1);
    if (!data) {
        return err_set(e, ERR_MEMORY, "no memory for %" PRIu64 " bytes", scales.bytes);
    }
    const err_code code = pack_read_range(c->p, &c->evidence, &scales, c->monitor, data, e);
    for (uint64_t i = 0; code == OK && i < scales.count; i++) {
        atomic_store(&j->intact[scales.record->chunk_first + scales.first + i], true);
    }
    free(data);
    return code;
}

/* Bytes that the digests of the file do not cover are damaged: that is another finding than a
 * difference. */
static err_code check_digests(const chunk_job *j, const chunk_place *at, const buffers *b, err *e)
{
    const compare *const c = j->c;
    const pack_range codes = pack_record_range(
        at->r, at->chunk.slice * pack_record_slice_bytes(at->r) + at->chunk.begin, at->chunk.bytes);
    TRY(pack_check_range(c->p, &c->evidence, &codes, c->monitor, b->packed, e));
    return pack_record_has_stats(at->r) ? check_scales(j, at, e) : OK;
}

static err_code compare_chunk(void *ctx, unsigned worker, uint64_t task, err *e)
{
    chunk_job *const j = ctx;
    const compare *const c = j->c;
    const chunk_place at = find_chunk(c, task);
    if (!at.source) {
        return OK;
    }
    const buffers b = buffers_of(j, worker);
    chunk_result *const out = &c->chunks[task];
    *out = (chunk_result){.worst_sqnr = INFINITY, .scale_min = INFINITY};
    const bool coded = pack_record_has_stats(at.r);
    const fp8_pair *const p = pair_of(c, &at);
    TRY(checkpoint_read(c->cp, at.source, at.source_off, b.source, at.source_bytes, e));
    TRY(io_read_at(c->p->fd, c->p->path, at.chunk.off, b.packed, at.chunk.bytes, e));
    TRY(coded ? read_scales(j, &at, &b, e) : OK);
    TRY(p ? read_source_scales(c, p, &at, &b, e) : OK);
    TRY(digest_source(&at, p, &b, out->digest, e));
    if (coded) {
        TRY(p ? widen_source(j, p, &at, &b, e) : OK);
        TRY(compare_tiles(j, &at, &b, out, e));
    } else {
        compare_bytes(&at, &b, out);
    }
    TRY(out->wrong + out->wrong_scales > 0 ? check_digests(j, &at, &b, e) : OK);
    monitor_advance(c->monitor, at.source_bytes);
    return OK;
}

/* ---- all chunks ------------------------------------------------ */

/* Set the sizes of the buffers. *total: bytes of all sources. */
static err_code measure(chunk_job *j, uint64_t *total, err *e)
{
    uint64_t *const bytes = j->need.bytes;
    for (uint64_t i = 0; i < j->c->table->chunk_count; i++) {
        TRY(monitor_step(j->c->monitor, i, e));
        const chunk_place at = find_chunk(j->c, i);
        if (!at.source) {
            continue;
        }
        if (at.source_bytes > bytes[PART_SOURCE]) {
            bytes[PART_SOURCE] = at.source_bytes;
            j->need.tensor = at.r->name;
        }
        bytes[PART_PACKED] = num_max(bytes[PART_PACKED], at.chunk.bytes);
        bytes[PART_SCALES] = num_max(bytes[PART_SCALES], scale_bytes(&at));
        const fp8_pair *const p = pair_of(j->c, &at);
        if (p) {
            bytes[PART_WIDE] = num_max(bytes[PART_WIDE], at.chunk.bytes * sizeof(float));
            bytes[PART_SOURCE_SCALES] = num_max(bytes[PART_SOURCE_SCALES], band_of(p, &at).bytes);
        }
        *total += at.source_bytes;
    }
    return OK;
}

err_code compare_chunks(compare *c, err *e)
{
    chunk_job j = {.c = c,
                   .need = {.task = "comparing a chunk",
                            .tensor = "",
                            .memory = c->options->memory,
                            .threads = c->options->threads}};
    uint64_t total = 0;
    err_code code = OK;
    TRY_OUT(measure(&j, &total, e));
    TRY_OUT(code_rules_create(&j.rules, e));
    TRY_OUT(worker_buffers_create(&j.buffers, &j.need, e));
    j.intact = calloc(c->table->chunk_count + 1, sizeof *j.intact);
    TRY_OUT(j.intact ? OK : err_set(e, ERR_MEMORY, "%s: no memory", c->p->path));
    posix_fadvise(c->p->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    monitor_stage(c->monitor, "weights", total);
    TRY_OUT(
        parallel_for(j.buffers.workers, c->table->chunk_count, compare_chunk, &j, c->monitor, e));
out:
    free(j.intact);
    worker_buffers_free(&j.buffers);
    code_rules_free(&j.rules);
    return code;
}
