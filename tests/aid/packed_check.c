#include "tests/aid/packed_check.h"

#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/file/io.h"
#include "format/tensor/tensor_name.h"
#include "format/base/num.h"
#include "format/pack/pack_file.h"
#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"

typedef struct checker {
    pack_file *p;
    unsigned char *file; /* all of it */
    const made_checkpoint *made;
    bool pow2;
    digest_alg alg;
    uint64_t sources, stats; /* seen so far, in file order */
    size_t tensors;          /* of the checkpoint, seen so far */
} checker;

static size_t each(digest_alg alg)
{
    return alg == DIGEST_SHA256 ? 32 : 16;
}

static void digest(digest_alg alg, const void *data, uint64_t bytes, unsigned char *out)
{
    if (alg == DIGEST_SHA256) {
        struct sha256_ctx state;
        sha256_init(&state);
        sha256_update(&state, bytes, data);
        sha256_digest(&state, SHA256_BYTES, out);
        return;
    }
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, bytes));
    memcpy(out, canonical.digest, 16);
}

/* The digest of several pieces: that of the only one, or that of all their digests concatenated. */
static void combine(digest_alg alg, const unsigned char *pieces, uint64_t count, unsigned char *out)
{
    if (count == 1) {
        memcpy(out, pieces, each(alg));
    } else {
        digest(alg, pieces, count * each(alg), out);
    }
}

static const unsigned char *section(const checker *k, uint32_t tag)
{
    return k->file + pack_find_section(k->p, tag)->off;
}

/* ---- quantization (spec/quant.md) ------------------------------ */

/* The sum of section 5 over one tile; v(i, j) = values[i * 128 + j], +0 where the tile is
 * clipped. */
static float tile_sum(const float *v)
{
    float column[128];
    for (int j = 0; j < 128; j++) {
        column[j] = 0;
        for (int h = 0; h < 16; h++) {
            float lane[2];
            for (int i = 0; i < 2; i++) {
                const float *const l = v + (2 * h + i) * 128 + j;
                lane[i] = ((l[0] + l[32 * 128]) + l[64 * 128]) + l[96 * 128];
            }
            column[j] = column[j] + (lane[0] + lane[1]);
        }
    }
    for (int w = 64; w > 0; w /= 2) {
        for (int j = 0; j < w; j++) {
            column[j] = column[j] + column[j + w];
        }
    }
    return column[0];
}

/* One matrix with its codes and scales as stored in the file. */
typedef struct matrix {
    const char *name;
    const float *x;
    uint64_t rows, cols;
    const unsigned char *codes;
    const unsigned char *scales; /* float32, little-endian */
    pack_stat stat;              /* found by the check */
    double chunk_source, chunk_error;
} matrix;

static void check_code(matrix *m, uint64_t at, float scale, float *y2, float *d2)
{
    const float x = m->x[at];
    const float y = x / scale;
    const unsigned char code = oracle_encode(y);
    if (m->codes[at] != code) {
        ck_abort_msg("%s: code %" PRIu64 ": expected %02x, found %02x", m->name, at, code,
                     m->codes[at]);
    }
    const float magnitude = fabsf(y);
    const float error = magnitude - oracle_decode(code & 0x7f);
    *y2 = magnitude * magnitude;
    *d2 = error * error;
    m->stat.saturated += magnitude >= 464;
    m->stat.zero += x == 0;
    m->stat.flushed += x != 0 && (code & 0x7f) == 0;
}

static void check_tile(matrix *m, uint64_t row, uint64_t col, float scale_found, bool pow2)
{
    static float y2[128 * 128];
    static float d2[128 * 128];
    float amax = 0;
    memset(y2, 0, sizeof y2);
    memset(d2, 0, sizeof d2);
    const uint64_t rows = num_min(m->rows - row, 128);
    const uint64_t cols = num_min(m->cols - col, 128);
    for (uint64_t i = 0; i < rows * cols; i++) {
        amax = fmaxf(amax, fabsf(m->x[(row + i / cols) * m->cols + col + i % cols]));
    }
    const float scale = oracle_scale(amax, pow2);
    ck_assert_msg(scale == scale_found, "%s: scale of tile %" PRIu64 ", %" PRIu64 ": %a, found %a",
                  m->name, row / 128, col / 128, (double)scale, (double)scale_found);
    for (uint64_t i = 0; i < rows; i++) {
        for (uint64_t j = 0; j < cols; j++) {
            check_code(m, (row + i) * m->cols + col + j, scale, &y2[i * 128 + j], &d2[i * 128 + j]);
        }
    }
    const double square = (double)scale * (double)scale;
    m->chunk_source += (double)tile_sum(y2) * square;
    m->chunk_error += (double)tile_sum(d2) * square;
    m->stat.amax = fmaxf(m->stat.amax, amax);
    m->stat.scale_min = fminf(m->stat.scale_min, scale);
    m->stat.scale_max = fmaxf(m->stat.scale_max, scale);
}

static uint64_t chunk_rows(uint64_t cols)
{
    const uint64_t tile_row = 128 * cols;
    return 128 * num_max(1, (2 << 20) / tile_row);
}

static void check_matrix(matrix *m, bool pow2)
{
    uint64_t tile = 0;
    m->stat = (pack_stat){.scale_min = INFINITY};
    for (uint64_t row = 0; row < m->rows; row += 128) {
        if (row % chunk_rows(m->cols) == 0) {
            m->stat.sum_sq_source += m->chunk_source;
            m->stat.sum_sq_error += m->chunk_error;
            m->chunk_source = m->chunk_error = 0;
        }
        for (uint64_t col = 0; col < m->cols; col += 128) {
            check_tile(m, row, col, oracle_float(le32_load(m->scales + 4 * tile++)), pow2);
        }
    }
    m->stat.sum_sq_source += m->chunk_source;
    m->stat.sum_sq_error += m->chunk_error;
}

/* Check the row of STAT that belongs to a matrix, byte by byte. */
static void check_stat(checker *k, const matrix *m)
{
    unsigned char row[64] = {0};
    le32_store(row, oracle_bits(m->stat.amax));
    le32_store(row + 4, oracle_bits(m->stat.scale_min));
    le32_store(row + 8, oracle_bits(m->stat.scale_max));
    le64_store(row + 16, m->stat.saturated);
    le64_store(row + 24, m->stat.zero);
    le64_store(row + 32, m->stat.flushed);
    memcpy(row + 40, &m->stat.sum_sq_source, 8);
    memcpy(row + 48, &m->stat.sum_sq_error, 8);
    ck_assert_msg(memcmp(row, section(k, TAG_STAT) + 64 * k->stats++, 64) == 0, "%s: statistics",
                  m->name);
}

/* All slices of a record of codes that one source tensor makes, beginning at slice `first`. */
static void check_codes(checker *k, const pack_record *r, const made_tensor *t, uint64_t first)
{
    const pack_record *const s = &k->p->table.records[r->scale_idx];
    const uint64_t rows = r->shape[r->ndim - 2];
    const uint64_t cols = r->shape[r->ndim - 1];
    const uint64_t tiles = (rows + 127) / 128 * ((cols + 127) / 128);
    float *const x = malloc(t->elements * sizeof *x);
    for (uint64_t i = 0; i < t->elements; i++) {
        x[i] = made_value(t, i);
    }
    for (uint64_t e = 0; e < t->elements / (rows * cols); e++) {
        matrix m = {.name = t->name,
                    .x = x + e * rows * cols,
                    .rows = rows,
                    .cols = cols,
                    .codes = k->file + r->off + (first + e) * rows * cols,
                    .scales = k->file + s->off + (first + e) * tiles * 4};
        check_matrix(&m, k->pow2);
        check_stat(k, &m);
    }
    free(x);
}

/* ---- digests (spec/format.md 6 and 7) -------------------------- */

static void check_source(checker *k, const pack_record *r, const made_tensor *t)
{
    const bool codes = r->scale_idx != PACK_NO_SCALE;
    const uint64_t slices = codes && t->ndim == 3 ? t->shape[0] : 1;
    const uint64_t cols = t->ndim > 0 ? t->shape[t->ndim - 1] : 1;
    const uint64_t piece =
        codes ? chunk_rows(cols) * cols * dtype_bits(t->type) / 8 : (uint64_t)2 << 20;
    const uint64_t slice_bytes = t->bytes / slices;
    unsigned char *const pieces = malloc(slices * (slice_bytes / piece + 1) * 16);
    unsigned char out[16];
    uint64_t count = 0;
    for (uint64_t s = 0; s < slices; s++) {
        for (uint64_t at = 0; at < slice_bytes; at += piece) {
            digest(DIGEST_XXH3, t->data + s * slice_bytes + at, num_min(piece, slice_bytes - at),
                   pieces + 16 * count++);
        }
    }
    combine(DIGEST_XXH3, pieces, count, out);
    ck_assert_msg(memcmp(out, section(k, TAG_SDIG) + 16 * k->sources++, 16) == 0, "%s: SDIG",
                  t->name);
    free(pieces);
}

static void check_chunks(const checker *k, uint32_t number, uint64_t *chunk)
{
    const pack_record *const r = &k->p->table.records[number];
    const bool sliced =
        (r->stack && r->cls != CLASS_SCALES) || (r->scale_idx != PACK_NO_SCALE && r->ndim == 3);
    const uint64_t slices = sliced ? r->shape[0] : 1;
    const uint64_t slice_bytes = r->len / slices;
    const uint64_t cols = r->ndim > 0 ? r->shape[r->ndim - 1] : 1;
    const uint64_t bytes =
        r->scale_idx != PACK_NO_SCALE ? chunk_rows(cols) * cols : (uint64_t)2 << 20;
    const unsigned char *const first = section(k, TAG_CHNK) + *chunk * each(k->alg);
    const uint64_t before = *chunk;
    unsigned char out[32];
    for (uint64_t s = 0; s < slices; s++) {
        for (uint64_t at = 0; at < slice_bytes; at += bytes) {
            digest(k->alg, k->file + r->off + s * slice_bytes + at,
                   num_min(bytes, slice_bytes - at), out);
            ck_assert_msg(memcmp(out, section(k, TAG_CHNK) + *chunk * each(k->alg), each(k->alg)) ==
                              0,
                          "%s: CHNK %" PRIu64, r->name, *chunk);
            ++*chunk;
        }
    }
    combine(k->alg, first, *chunk - before, out);
    ck_assert_msg(memcmp(out, section(k, TAG_TDIG) + number * each(k->alg), each(k->alg)) == 0,
                  "%s: TDIG", r->name);
}

/* ---- records --------------------------------------------------- */

static void check_member(checker *k, const pack_record *r, const char *name, uint64_t index)
{
    const made_tensor *const t = made_find(k->made, name);
    ck_assert_msg(t != NULL, "%s: no such tensor", name);
    ck_assert_msg(t->type == r->src_type, "%s: source type", name);
    ck_assert_msg(t->ndim + r->stack == r->ndim &&
                      memcmp(t->shape, r->shape + r->stack, t->ndim * 8) == 0,
                  "%s: shape", name);
    k->tensors++;
    check_source(k, r, t);
    if (r->cls == CLASS_CODES) {
        check_codes(k, r, t, index);
    } else {
        ck_assert_msg(memcmp(k->file + r->off + index * t->bytes, t->data, t->bytes) == 0,
                      "%s: kept bytes", name);
    }
}

static void check_record(checker *k, uint32_t number)
{
    const pack_record *const r = &k->p->table.records[number];
    if (r->cls == CLASS_SCALES) {
        ck_assert_int_eq(r->block.scale, k->pow2 ? SCALES_UE8M0 : SCALES_F32);
        return;
    }
    for (uint64_t i = 0; i < (r->stack ? r->shape[0] : 1); i++) {
        char name[NAME_MAX_BYTES + 1];
        if (!r->stack || !name_expand_stack(r->name, i, name)) {
            snprintf(name, sizeof name, "%s", r->name);
        }
        check_member(k, r, name, i);
    }
}

/* Bytes of the data area that belong to no record. */
static void check_padding(const checker *k)
{
    const pack_table *const t = &k->p->table;
    uint64_t end = t->data_off;
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        ck_assert_msg(pack_all_zero(k->file + end, r->off - end), "padding before %s", r->name);
        end = r->off + r->len;
    }
    ck_assert(pack_all_zero(k->file + end, t->data_end - end));
}

void packed_check(const char *path, const made_checkpoint *c, bool pow2, digest_alg alg)
{
    checker k = {.made = c, .pow2 = pow2, .alg = alg};
    err e = {0};
    char *file = NULL;
    size_t bytes = 0;
    uint64_t chunk = 0;
    expect_ok(pack_open(path, &k.p, &e), &e);
    expect_ok(io_read_file(path, (size_t)1 << 32, &file, &bytes, &e), &e);
    k.file = (unsigned char *)file;
    ck_assert_int_eq(k.p->superblock.digest, alg);
    for (uint32_t i = 0; i < k.p->table.count; i++) {
        check_record(&k, i);
        check_chunks(&k, i, &chunk);
    }
    ck_assert_uint_eq(k.tensors, c->count); /* all of them, none twice */
    ck_assert_uint_eq(k.sources, k.p->table.source_count);
    ck_assert_uint_eq(k.stats, k.p->table.stat_count);
    ck_assert_uint_eq(chunk, k.p->table.chunk_count);
    ck_assert_uint_eq(pack_find_section(k.p, TAG_STAT)->len, 64 * k.stats);
    check_padding(&k);
    free(file);
    pack_close(k.p);
}
