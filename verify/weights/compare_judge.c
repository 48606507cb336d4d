/* From results of chunks to results of records. Sums are formed in file order, so they do not
 * depend on the order in which chunks were compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/tensor/tensor_name.h"
#include "format/base/num.h"
#include "verify/weights/compare_steps.h"

/* Sums of one slice or one record. */
typedef struct sums {
    double source, error;
} sums;

static double decibel(const sums *s)
{
    return s->error == 0 ? NAN : 10 * log10(s->source / s->error);
}

/* Chunks [*first, *end), by their numbers in the file, that source tensor `member` of a record
 * became. */
static void chunk_range(const pack_record *r, uint64_t member, uint64_t *first, uint64_t *end)
{
    const uint64_t each = r->chunk_count / pack_record_sources(r);
    *first = r->chunk_first + member * each;
    *end = *first + each;
}

static bool source_agrees(const compare *c, const pack_record *r, uint64_t member,
                          unsigned char *pieces)
{
    uint64_t first = 0;
    uint64_t end = 0;
    unsigned char digest[XXH3_BYTES];
    chunk_range(r, member, &first, &end);
    for (uint64_t i = first; i < end; i++) {
        memcpy(pieces + (i - first) * XXH3_BYTES, c->chunks[i].digest, XXH3_BYTES);
    }
    digest_combine_xxh3(pieces, end - first, digest);
    const unsigned char *const stored =
        pack_evidence_source(&c->evidence, r->source_first + member);
    return memcmp(digest, stored, XXH3_BYTES) == 0;
}

static void add_chunk(const pack_record *r, uint64_t number, const chunk_result *k,
                      weight_result *to)
{
    const uint64_t slice = pack_record_chunk(r, number - r->chunk_first).slice;
    const int64_t named = pack_record_slices(r) > 1 ? (int64_t)slice : -1;
    const uint64_t wrong_before = to->wrong_codes + to->wrong_bytes;
    if (k->wrong > 0 && wrong_before == 0) {
        to->first_wrong_slice = named;
        to->first_wrong_index = k->first_wrong;
    } else if (k->wrong_scales > 0 && wrong_before + to->wrong_scales == 0) {
        to->first_wrong_slice = named;
        to->first_wrong_index = k->first_wrong_scale;
    }
    to->wrong_scales += k->wrong_scales;
    *(to->quantized ? &to->wrong_codes : &to->wrong_bytes) += k->wrong;
    to->max_error = fmax(to->max_error, k->max_error);
    if (k->worst_sqnr < INFINITY && !(k->worst_sqnr >= to->worst_tile_sqnr)) {
        to->worst_tile_sqnr = k->worst_sqnr;
        to->worst_slice = slice;
        to->worst_row = k->worst_row;
        to->worst_col = k->worst_col;
    }
}

/* ---- statistics ------------------------------------------------ */

/* The writer sums each tile in float32: even 2^20 of its roundings stay far below these bounds. If
 * the scale floor of a dialect is far above the weights, quotients fall below 2^-75 and their
 * squares underflow in float32; `lost` bounds what is missing from the sum then. */
static bool is_near(double found, double expected, double scale, double lost)
{
    return fabs(found - expected) <= 1e-5 * fabs(expected) + 1e-8 * scale + lost;
}

static bool stat_fits(const pack_stat *stored, const chunk_result *k, uint64_t elements)
{
    const double lost = (double)elements * 0x1p-149 * (double)k->scale_max * (double)k->scale_max;
    return stored->amax == k->amax && stored->scale_min == k->scale_min &&
           stored->scale_max == k->scale_max && stored->saturated == k->saturated &&
           stored->zero == k->zero && stored->flushed == k->flushed &&
           is_near(stored->sum_sq_source, k->sum_sq_source, k->sum_sq_source, lost) &&
           is_near(stored->sum_sq_error, k->sum_sq_error, k->sum_sq_source, lost);
}

static void check_stat(compare *c, const pack_record *r, uint64_t slice)
{
    const uint64_t per_slice = r->chunk_count / pack_record_slices(r);
    chunk_result all = {.scale_min = INFINITY};
    for (uint64_t i = 0; i < per_slice; i++) {
        const chunk_result *const k = &c->chunks[r->chunk_first + slice * per_slice + i];
        all.amax = fmaxf(all.amax, k->amax);
        all.scale_min = fminf(all.scale_min, k->scale_min);
        all.scale_max = fmaxf(all.scale_max, k->scale_max);
        all.saturated += k->saturated;
        all.zero += k->zero;
        all.flushed += k->flushed;
        all.sum_sq_source += k->sum_sq_source;
        all.sum_sq_error += k->sum_sq_error;
    }
    pack_stat stored;
    if (!pack_stat_decode(pack_evidence_stat(&c->evidence, r->stat_first + slice), &stored) ||
        !stat_fits(&stored, &all, pack_record_slice_bytes(r))) {
        difference_add(&c->differences,
                       "tensor %s: the statistics (STAT) of slice %llu do not match its codes",
                       r->name, (unsigned long long)slice);
    }
}

/* ---- records --------------------------------------------------- */

/* The result of one record. `pieces` is a buffer for the digests of its chunks. */
static err_code judge_record(compare *c, const pack_record *r, unsigned char *pieces, sums *s,
                             weight_result *to, err *e)
{
    *to = (weight_result){.name = r->name,
                          .quantized = pack_record_has_stats(r),
                          .carried = r->origin == ORIGIN_CARRIED,
                          .first_wrong_slice = -1,
                          .worst_tile_sqnr = NAN,
                          .source_same = true};
    for (uint64_t m = 0; m < pack_record_sources(r); m++) {
        TRY(monitor_step(c->monitor, m, e));
        if (!c->sources[r->source_first + m]) {
            continue;
        }
        uint64_t i = 0;
        uint64_t end = 0;
        to->compared++;
        to->source_same = source_agrees(c, r, m, pieces) && to->source_same;
        for (chunk_range(r, m, &i, &end); i < end; i++) {
            TRY(monitor_step(c->monitor, i, e));
            add_chunk(r, i, &c->chunks[i], to);
            s->source += c->chunks[i].sum_sq_source;
            s->error += c->chunks[i].sum_sq_error;
        }
    }
    to->sqnr = to->quantized ? decibel(s) : NAN;
    return OK;
}

/* Where the weights of a record are right, its evidence has to match as well. */
static err_code check_evidence(compare *c, const pack_record *r, const weight_result *w, err *e)
{
    if (!w->source_same) {
        difference_add(&c->differences,
                       "tensor %s: the digest of its source (SDIG) does not match this source",
                       r->name);
    }
    const uint64_t slices = pack_record_slices(r);
    for (uint64_t k = 0; pack_record_has_stats(r) && k < slices; k++) {
        TRY(monitor_step(c->monitor, k, e));
        if (c->sources[r->source_first + k * pack_record_sources(r) / slices]) {
            check_stat(c, r, k);
        }
    }
    return OK;
}

err_code compare_judge(compare *c, weights_report *out, err *e)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < c->table->count; i++) {
        most = num_max(most, c->table->records[i].chunk_count);
    }
    unsigned char *const pieces = malloc((most + 1) * XXH3_BYTES);
    out->results = calloc(c->table->count + (size_t)1, sizeof *out->results);
    if (!pieces || !out->results) {
        free(pieces);
        return err_set(e, ERR_MEMORY, "no memory for %u results", c->table->count);
    }
    err_code code = OK;
    for (uint32_t i = 0; i < c->table->count; i++) {
        const pack_record *const r = &c->table->records[i];
        weight_result *const w = &out->results[out->count];
        sums s = {0};
        TRY_OUT(monitor_step(c->monitor, 0, e));
        TRY_OUT(judge_record(c, r, pieces, &s, w, e));
        if (w->compared == 0) {
            continue;
        }
        out->count++;
        out->sum_sq_source += s.source;
        out->sum_sq_error += s.error;
        if (w->wrong_scales + w->wrong_codes + w->wrong_bytes > 0) {
            out->wrong_tensors++;
        } else {
            TRY_OUT(check_evidence(c, r, w, e));
        }
    }
out:
    free(pieces);
    return code;
}
