/* A read is divided into batches of rows of blocks. For each, pieces of the source are read in
 * parallel, then its blocks are computed in parallel; so memory does not depend on the number of
 * threads, and a tensor of few rows keeps all of them busy. */
#include "verify/forward/ideal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/memory.h"
#include "format/base/num.h"
#include "format/thread/thread_pool.h"
#include "verify/forward/ideal_form.h"
#include "verify/forward/ideal_source.h"
#include "verify/rule/code_check.h"

enum { BATCH_BYTES = 8 << 20, PIECE_BYTES = 1 << 20 };

typedef struct buffer {
    void *data;
    uint64_t capacity;
} buffer;

/* What a thread has to itself. */
typedef struct worker {
    float wide[BLOCK_MAX_ROWS * BLOCK_MAX_COLS]; /* a block of an FP8 source */
    size_t failed;                               /* the piece whose error this is */
    err e;
} worker;

struct ideal {
    const store *source, *packed;
    const monitor *monitor;
    fp8_pairs pairs; /* of a source that is a checkpoint */
    code_rules rules;
    thread_pool *pool;
    worker *workers;
    buffer elements, scales; /* of the source of a batch, as stored, and as floats */
    ideal_scales all_scales; /* of the packed file; once they are known */
    bool scales_known;
    ideal_form form; /* of the tensor that is read */
};

/* ---- open and close -------------------------------------------- */

static err_code open_parts(ideal *d, unsigned threads, err *e)
{
    const checkpoint *const cp = d->source->source;
    TRY(cp ? fp8_pairs_find(cp, d->monitor, &d->pairs, e) : OK);
    TRY(code_rules_create(&d->rules, e));
    d->workers = calloc(threads, sizeof *d->workers);
    return d->workers ? thread_pool_create(threads, &d->pool, e)
                      : err_set(e, ERR_MEMORY, "no memory for %u threads", threads);
}

err_code ideal_open(const store *source, const store *packed, unsigned threads, const monitor *m,
                    ideal **out, err *e)
{
    ideal *const d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d) {
        return err_set(e, ERR_MEMORY, "no memory for the ideal file");
    }
    d->source = source;
    d->packed = packed;
    d->monitor = m;
    const err_code code = open_parts(d, threads, e);
    if (code != OK) {
        ideal_close(d);
        return code;
    }
    *out = d;
    return OK;
}

void ideal_close(ideal *d)
{
    if (d) {
        thread_pool_free(d->pool);
        fp8_pairs_free(&d->pairs);
        code_rules_free(&d->rules);
        free(d->workers);
        free(d->elements.data);
        free(d->scales.data);
        free(d);
    }
}

static err_code grow(buffer *b, uint64_t count, uint64_t each, const store_tensor *t, err *e)
{
    uint64_t bytes = 0;
    const bool fits = num_mul(count, each, &bytes) && bytes <= SIZE_MAX;
    if (fits && bytes <= b->capacity) {
        return OK;
    }
    free(b->data);
    b->data = fits ? memory_large(bytes) : NULL;
    b->capacity = b->data ? bytes : 0;
    return b->data ? OK : err_set(e, ERR_MEMORY, "tensor %s: no memory for its source", t->name);
}

/* Scales are read only if a rule is asked for that nothing else says. */
static err_code find_form(ideal *d, const store_tensor *t, const ideal_source *s, err *e)
{
    if (!t->quantized) {
        return OK;
    }
    if (!d->scales_known && ideal_form_is_open(t)) {
        TRY(ideal_scales_read(d->packed, d->monitor, &d->all_scales, e));
        d->scales_known = true;
    }
    d->form = ideal_form_of(t, &d->all_scales, s->fp8 ? DTYPE_F32 : s->elements.type);
    return OK;
}

/* ---- one batch ------------------------------------------------- */

/* Rows [first, first + rows) of a tensor: whole blocks, except at the end of a slice. The codes of
 * the first `wanted` of them go to `codes`. */
typedef struct batch {
    ideal *d;
    const store_tensor *t;
    const ideal_source *from;
    uint64_t first, rows, wanted;
    unsigned char *data;
    float *scales;
    uint64_t piece; /* rows that are read together */
} batch;

static void read_piece(void *ctx, unsigned number, size_t piece)
{
    const batch *const b = ctx;
    ideal *const d = b->d;
    worker *const w = &d->workers[number];
    const uint64_t done = piece * b->piece;
    if (w->e.code == OK && /* else an earlier piece has failed */
        ideal_source_read(d->source, b->from, b->first + done, num_min(b->piece, b->rows - done),
                          (unsigned char *)d->elements.data + done * b->from->elements.row_bytes,
                          &w->e) != OK) {
        w->failed = piece;
    }
}

/* The error of the first piece that failed, whichever thread read it. */
static err_code first_failure(const ideal *d, err *e)
{
    const worker *found = NULL;
    for (unsigned i = 0; i < thread_pool_threads(d->pool); i++) {
        const worker *const w = &d->workers[i];
        if (w->e.code != OK && (!found || w->failed < found->failed)) {
            found = w;
        }
    }
    if (found && e) {
        *e = found->e;
    }
    return found ? found->e.code : OK;
}

static err_code read_source(batch *b, err *e)
{
    ideal *const d = b->d;
    const uint64_t row_bytes = b->from->elements.row_bytes;
    TRY(grow(&d->elements, b->rows, row_bytes, b->t, e));
    if (b->from->fp8) {
        const uint64_t count = ideal_source_scale_count(b->from, b->first, b->rows);
        TRY(grow(&d->scales, count, sizeof(float), b->t, e));
        TRY(ideal_source_read_scales(d->source, b->from, b->first, b->rows, d->scales.data, e));
    }
    for (unsigned i = 0; i < thread_pool_threads(d->pool); i++) {
        d->workers[i].e = (err){0};
    }
    b->piece = num_max(1, PIECE_BYTES / row_bytes);
    thread_pool_run(d->pool, num_ceil_div(b->rows, b->piece), read_piece, b);
    return first_failure(d, e);
}

/* The numbers of a block. FP8 is widened first. */
static void view_source(const batch *b, const source_part *part, float *wide, tile_view *v)
{
    const ideal *const d = b->d;
    const uint64_t row_bytes = b->from->elements.row_bytes;
    const uint64_t element_bytes = row_bytes / b->t->cols;
    const unsigned char *const elements = (unsigned char *)d->elements.data +
                                          (part->first - b->first) * row_bytes +
                                          part->col * element_bytes;
    v->source = elements;
    v->type = b->from->elements.type;
    v->pitch = b->t->cols;
    if (b->from->fp8) {
        ideal_source_widen(b->from, part, elements, d->scales.data, b->first, d->rules.value, wide,
                           BLOCK_MAX_COLS);
        v->source = (unsigned char *)wide;
        v->type = DTYPE_F32;
        v->pitch = BLOCK_MAX_COLS;
    }
}

static void define_block(void *ctx, unsigned number, size_t block)
{
    const batch *const b = ctx;
    const store_tensor *const t = b->t;
    const uint64_t height = block_height(t->block, ideal_slice_rows(t));
    const uint64_t width = block_width(t->block, t->cols);
    const uint64_t across = block_across(t->block, t->cols);
    const uint64_t row = block / across * height;
    const uint64_t col = block % across * width;
    const source_part part = {.first = b->first + row,
                              .col = col,
                              .rows = (unsigned)num_min(height, b->rows - row),
                              .cols = (unsigned)num_min(width, t->cols - col)};
    tile_view v = {
        .rows = part.rows,
        .cols = part.cols,
        .scales = b->d->form.scales,
        .dialect = b->d->form.dialect,
    };
    view_source(b, &part, b->d->workers[number].wide, &v);
    tile_define(&b->d->rules, &v, (unsigned)num_min(part.rows, b->wanted - row),
                b->data + row * t->cols + col, t->cols, b->scales + block);
}

/* A row of another dtype than the source has, in parts that fit into the buffer. */
static void round_row(void *ctx, unsigned number, size_t row)
{
    const batch *const b = ctx;
    const ideal *const d = b->d;
    const store_tensor *const s = &b->from->elements;
    float *const wide = d->workers[number].wide;
    const uint64_t most = sizeof d->workers[number].wide / sizeof *wide;
    for (uint64_t col = 0; col < s->cols; col += most) {
        const source_part part = {.first = b->first + row,
                                  .col = col,
                                  .rows = 1,
                                  .cols = (unsigned)num_min(most, s->cols - col)};
        ideal_source_widen(b->from, &part,
                           (unsigned char *)d->elements.data + row * s->row_bytes +
                               col * (s->row_bytes / s->cols),
                           d->scales.data, b->first, d->rules.value, wide, most);
        ideal_round(b->t->type, wide, part.cols,
                    b->data + row * b->t->row_bytes + col * (b->t->row_bytes / s->cols));
    }
}

static err_code compute_batch(batch *b, err *e)
{
    TRY(monitor_step(b->d->monitor, 0, e));
    TRY(read_source(b, e));
    if (b->t->quantized) {
        thread_pool_run(b->d->pool, block_count(b->t->block, b->rows, b->t->cols), define_block, b);
    } else {
        thread_pool_run(b->d->pool, b->rows, round_row, b);
    }
    return OK;
}

/* ---- rows of a tensor ------------------------------------------ */

static bool is_number(dtype t)
{
    return t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_F32;
}

static err_code check_source(const ideal *d, const store_tensor *t, const ideal_source *s, err *e)
{
    const dtype type = s->fp8 ? DTYPE_F32 : s->elements.type;
    if (!is_number(type) || !(t->quantized || is_number(t->type))) {
        return err_set(e, ERR_DIFFERENT, "%s: tensor %s: %s cannot become %s as in %s",
                       d->source->path, t->name, dtype_name(s->elements.type), dtype_name(t->type),
                       d->packed->path);
    }
    const char *const lacks =
        t->quantized ? dialect_lacks(d->form.dialect, type, d->form.scales) : NULL;
    return lacks ? err_set(e, ERR_INPUT, "%s: tensor %s: %s", d->source->path, t->name, lacks) : OK;
}

/* The rows that store_read can read. */
static err_code check_rows(const store_tensor *t, uint64_t first, uint64_t rows, err *e)
{
    if (first > t->rows || rows > t->rows - first) {
        return err_set(e, ERR_INTERNAL, "tensor %s: read beyond its end", t->name);
    }
    if (!t->quantized || rows == 0) {
        return OK;
    }
    const uint64_t slice = ideal_slice_rows(t);
    const uint64_t within = first % slice;
    if (within % block_height(t->block, slice) != 0) {
        return err_set(e, ERR_INTERNAL, "tensor %s: a read that starts inside a block", t->name);
    }
    return rows <= slice - within
               ? OK
               : err_set(e, ERR_INPUT,
                         "tensor %s: its slices of %" PRIu64 " rows cannot be read together",
                         t->name, slice);
}

static err_code compute(ideal *d, const store_tensor *t, const ideal_source *s, uint64_t first,
                        uint64_t rows, unsigned char *data, float *scales, err *e)
{
    TRY(check_source(d, t, s, e));
    if (t->row_bytes == 0) {
        return OK;
    }
    const uint64_t slice = ideal_slice_rows(t);
    const uint64_t height = t->quantized ? block_height(t->block, slice) : 1;
    const uint64_t across = t->quantized ? block_across(t->block, t->cols) : 0;
    const uint64_t fit = BATCH_BYTES / height / s->elements.row_bytes; /* rows of blocks */
    const uint64_t most = num_max(1, fit) * height;
    uint64_t count = 0;
    for (uint64_t done = 0; done < rows; done += count) {
        const uint64_t at = first + done;
        const uint64_t left = slice - at % slice;
        count = num_min(num_min(most, rows - done), left);
        batch b = {.d = d,
                   .t = t,
                   .from = s,
                   .first = at,
                   .rows = num_min(num_ceil_div(count, height) * height, left),
                   .wanted = count,
                   .data = data + done * t->row_bytes,
                   .scales = t->quantized ? scales + done / height * across : NULL};
        TRY(compute_batch(&b, e));
    }
    return OK;
}

/* The bytes of the source. */
static err_code copy(const ideal *d, const store_tensor *t, const ideal_source *s, uint64_t first,
                     uint64_t rows, void *data, float *scales, err *e)
{
    TRY(ideal_source_read(d->source, s, first, rows, data, e));
    return t->quantized ? ideal_source_read_scales(d->source, s, first, rows, scales, e) : OK;
}

/* Can `t` have codes and scales of FP8 with these blocks, as they are? */
static bool fits(const store_tensor *t, block_format block, dtype scales)
{
    return block_same_size(block, t->block) &&
           (t->block.scale == SCALES_F32 || scale_format_of(scales) == SCALES_UE8M0);
}

/* Whatever was not quantized is as in the source, if that has the same form. */
static bool is_same(const store_tensor *t, const ideal_source *s)
{
    return t->quantized ? !ideal_quantized_here(t) && s->fp8 && fits(t, s->block, s->scale_type)
                        : s->elements.type == t->type;
}

bool ideal_is_claimed(const store *source, const store_tensor *t)
{
    const store_tensor *const s = store_find(source, t->name);
    if (!s || !t->of_record) {
        return false; /* a checkpoint says nothing of where its numbers come from */
    }
    if (!t->quantized) {
        return s->type == t->type;
    }
    return ideal_quantized_here(t)
               ? t->of_record->src_type == s->type
               : s->quantized && t->scale_type == s->scale_type && fits(t, s->block, s->scale_type);
}

err_code ideal_read(void *ctx, const store_tensor *t, uint64_t first, uint64_t rows, void *data,
                    float *scales, err *e)
{
    ideal *const d = ctx;
    ideal_source s;
    TRY(ideal_source_find(d->source, &d->pairs, d->packed, t, &s, e));
    TRY(check_rows(t, first, rows, e));
    if (rows == 0) {
        return OK;
    }
    if (is_same(t, &s)) {
        return copy(d, t, &s, first, rows, data, scales, e);
    }
    TRY(find_form(d, t, &s, e));
    return compute(d, t, &s, first, rows, data, scales, e);
}
