#include "format/pack/pack_evidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"

/* Offsets of fields within a row of STAT. */
enum {
    AT_AMAX = 0,
    AT_SCALE_MIN = 4,
    AT_SCALE_MAX = 8,
    AT_RESERVED0 = 12,
    AT_SATURATED = 16,
    AT_ZERO = 24,
    AT_FLUSHED = 32,
    AT_SUM_SOURCE = 40,
    AT_SUM_ERROR = 48,
    AT_RESERVED1 = 56,
};

err_code pack_evidence_create(const pack_table *t, digest_alg alg, pack_evidence *out, err *e)
{
    const size_t each = digest_bytes(alg);
    *out = (pack_evidence){.alg = alg};
    /* One element more than needed, because calloc(0) may return NULL, which is no failure. */
    out->chunks = calloc(t->chunk_count + 1, each);
    out->tensors = calloc(t->count + (size_t)1, each);
    out->sources = calloc(t->source_count + 1, XXH3_BYTES);
    out->stats = calloc(t->stat_count + 1, PACK_STAT_BYTES);
    if (!out->chunks || !out->tensors || !out->sources || !out->stats) {
        pack_evidence_free(out);
        return err_set(e, ERR_MEMORY, "no memory for the digests of %u tensors", t->count);
    }
    return OK;
}

void pack_evidence_free(pack_evidence *v)
{
    free(v->chunks);
    free(v->tensors);
    free(v->sources);
    free(v->stats);
    *v = (pack_evidence){0};
}

unsigned char *pack_evidence_chunk(const pack_evidence *v, uint64_t chunk)
{
    return v->chunks + chunk * digest_bytes(v->alg);
}

unsigned char *pack_evidence_tensor(const pack_evidence *v, uint32_t record)
{
    return v->tensors + record * digest_bytes(v->alg);
}

unsigned char *pack_evidence_source(const pack_evidence *v, uint64_t source)
{
    return v->sources + source * XXH3_BYTES;
}

unsigned char *pack_evidence_stat(const pack_evidence *v, uint64_t row)
{
    return v->stats + row * PACK_STAT_BYTES;
}

void pack_stat_encode(const pack_stat *s, unsigned char *row)
{
    memset(row, 0, PACK_STAT_BYTES);
    le_float_store(row + AT_AMAX, s->amax);
    le_float_store(row + AT_SCALE_MIN, s->scale_min);
    le_float_store(row + AT_SCALE_MAX, s->scale_max);
    le64_store(row + AT_SATURATED, s->saturated);
    le64_store(row + AT_ZERO, s->zero);
    le64_store(row + AT_FLUSHED, s->flushed);
    le_double_store(row + AT_SUM_SOURCE, s->sum_sq_source);
    le_double_store(row + AT_SUM_ERROR, s->sum_sq_error);
}

/* Infinities and NaNs are refused here, so that reports and JSON never meet one. */
bool pack_stat_decode(const unsigned char *row, pack_stat *s)
{
    *s = (pack_stat){
        .amax = le_float_load(row + AT_AMAX),
        .scale_min = le_float_load(row + AT_SCALE_MIN),
        .scale_max = le_float_load(row + AT_SCALE_MAX),
        .saturated = le64_load(row + AT_SATURATED),
        .zero = le64_load(row + AT_ZERO),
        .flushed = le64_load(row + AT_FLUSHED),
        .sum_sq_source = le_double_load(row + AT_SUM_SOURCE),
        .sum_sq_error = le_double_load(row + AT_SUM_ERROR),
    };
    return le32_load(row + AT_RESERVED0) == 0 && le64_load(row + AT_RESERVED1) == 0 &&
           isfinite(s->amax) && isfinite(s->scale_min) && isfinite(s->scale_max) &&
           isfinite(s->sum_sq_source) && isfinite(s->sum_sq_error);
}

/* A tensor with several chunks has the digest of its chunk digests, not of its bytes: chunks are
 * digested by several threads in any order, so no thread sees all bytes of a tensor in sequence.
 * Nobody has to read them again, neither to write this digest nor to check it. */
err_code pack_tensor_digest(const pack_evidence *v, const pack_record *r, unsigned char *out,
                            err *e)
{
    return digest_combine(v->alg, pack_evidence_chunk(v, r->chunk_first), r->chunk_count, out, e);
}
