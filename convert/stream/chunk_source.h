/* The source of a chunk: which bytes of which tensor a chunk of the packed file is made from;
 * reading and digesting them. */
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
    const monitor *m; /* is told of bytes read */
    unsigned char
        *pieces; /* [chunk_count] digests of source pieces, XXH3_BYTES each, filled here */
} chunk_reader;

/* Bytes that the scales of a source in FP8 need for any chunk that is quantized once more. */
uint64_t chunk_scale_room(const plan *p);

/* Read the source of a record's chunk `number` into `room`, item_chunk_in_bytes of it (work_items.h),
 * and digest it on the way; *data: where in the room the elements begin that are quantized or kept.
 * `scales` has chunk_scale_room bytes. Any thread. Errors: those of checkpoint_read; ERR_MEMORY. */
MUST_CHECK err_code chunk_read(const chunk_reader *cr, const pack_record *r, uint64_t number,
                               unsigned char *scales, unsigned char *room, unsigned char **data,
                               err *e);

#endif
