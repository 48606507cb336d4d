/* The evidence in the tail of a packed file: digests of chunks, tensors and source tensors, and
 * error statistics (spec/format.md 6 to 8). The arrays are in file order, and their lengths follow
 * from the table.
 *
 *     pack_evidence_create(&table, alg, &v, e)
 *     digest_of(alg, data, c.bytes, pack_evidence_chunk(&v, r->chunk_first + i), e)
 *     pack_evidence_free(&v)
 *
 * Threads may fill different elements in parallel. */
#ifndef PACK_EVIDENCE_H
#define PACK_EVIDENCE_H

#include "format/base/digest.h"
#include "format/base/err.h"
#include "format/pack/pack_table.h"

typedef struct pack_evidence {
    digest_alg alg;
    unsigned char *chunks;  /* [table.chunk_count] digests of digest_bytes(alg) */
    unsigned char *tensors; /* [table.count] likewise */
    unsigned char *sources; /* [table.source_count] digests of XXH3_BYTES */
    unsigned char *stats;   /* [table.stat_count] rows of PACK_STAT_BYTES */
} pack_evidence;

/* One row of STAT, for one slice of a record of codes. Sums are of squares of source values. */
typedef struct pack_stat {
    float amax, scale_min, scale_max;
    uint64_t saturated, zero, flushed;
    double sum_sq_source, sum_sq_error;
} pack_stat;

/* Zeroed arrays for a placed table. Release by pack_evidence_free. ERR_MEMORY. */
MUST_CHECK err_code pack_evidence_create(const pack_table *t, digest_alg alg, pack_evidence *out,
                                         err *e);
void pack_evidence_free(pack_evidence *v);

/* Pointers to the digest of a chunk (by its number in the file), of a record, of a source tensor,
 * and to a row of STAT. */
unsigned char *pack_evidence_chunk(const pack_evidence *v, uint64_t chunk);
unsigned char *pack_evidence_tensor(const pack_evidence *v, uint32_t record);
unsigned char *pack_evidence_source(const pack_evidence *v, uint64_t source);
unsigned char *pack_evidence_stat(const pack_evidence *v, uint64_t row);

void pack_stat_encode(const pack_stat *s, unsigned char *row);
/* False if reserved bytes are not zero, or a number is not finite. */
bool pack_stat_decode(const unsigned char *row, pack_stat *s);

/* The digest of a record, computed from those of its chunks. `out` has DIGEST_MAX bytes.
 * ERR_MEMORY. */
MUST_CHECK err_code pack_tensor_digest(const pack_evidence *v, const pack_record *r,
                                       unsigned char *out, err *e);

#endif
