/* Reading tensor data of a packed file that is checked while it is read: whole chunks, each against
 * its digest.
 *
 *     const pack_range at = pack_record_range(r, begin, bytes);
 *     room of at.bytes bytes
 *     pack_read_range(p, &evidence, &at, room, e)
 *     ... room + (begin - at.begin) is byte `begin` of the record
 *
 * Any number of threads. */
#ifndef PACK_READ_H
#define PACK_READ_H

#include "format/pack/pack_file.h"

/* A run of whole chunks of one record; they lie one behind the other in the file. */
typedef struct pack_range {
    const pack_record *record;
    uint64_t first, count; /* chunks of the record */
    uint64_t begin, bytes; /* within the record */
} pack_range;

/* The chunks that hold bytes [begin, begin + bytes) of a record; no chunks for no bytes. The bytes
 * lie within the record. */
pack_range pack_record_range(const pack_record *r, uint64_t begin, uint64_t bytes);

/* Errors: ERR_IO; ERR_DAMAGED a digest does not match, the message names tensor, chunk and offset.
 */
MUST_CHECK err_code pack_read_range(const pack_file *p, const pack_evidence *v,
                                    const pack_range *at, unsigned char *room, err *e);

/* The second half of it, for bytes that were read another way. */
MUST_CHECK err_code pack_check_range(const pack_file *p, const pack_evidence *v,
                                     const pack_range *at, const unsigned char *data, err *e);

#endif
