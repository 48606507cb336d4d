/* The source of a chunk: which bytes of which tensor a chunk of the packed file is made from, and
 * how they are read and digested. */
#ifndef CHUNK_SOURCE_H
#define CHUNK_SOURCE_H

#include "convert/plan/plan.h"
#include "format/base/monitor.h"

/* The source tensor (number in SDIG order), and where in it the chunk's bytes start. */
uint64_t chunk_source(const pack_record *r, const pack_chunk *c);
uint64_t chunk_source_off(const pack_record *r, const pack_chunk *c);

/* All members are the caller's. */
typedef struct chunk_reader {
    const plan *plan;
    checkpoint *cp;
    const monitor *m;      /* advanced by the bytes read */
    unsigned char *pieces; /* [chunk_count] digests of source pieces, XXH3_BYTES each; chunk_read
                              fills in that of its chunk */
} chunk_reader;

/* The size of the buffer for scales that chunk_read needs: the most that any chunk of FP8 that is
 * requantized has. */
uint64_t chunk_scale_bytes(const plan *p);

/* What chunk_read needs besides: each thread has its own, also the caller's. */
typedef struct chunk_scratch {
    unsigned char *scales; /* [chunk_scale_bytes] the scales of a source in FP8 */
    digest_stream *digest; /* of DIGEST_XXH3 */
} chunk_scratch;

/* Read the source of a record's chunk `number` into `area`, item_chunk_in_bytes of it (work_items.h),
 * and digest it on the way; *data: where in the area the elements to quantize or keep begin.
 * Threads may read different chunks in parallel, each with areas of its own. Errors: those of
 * checkpoint_read and of digests. */
MUST_CHECK err_code chunk_read(const chunk_reader *cr, const pack_record *r, uint64_t number,
                               const chunk_scratch *scratch, unsigned char *area,
                               unsigned char **data, err *e);

#endif
