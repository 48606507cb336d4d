/* Reads tensor data of a packed file and checks it: whole chunks, each against its digest.
 *
 *     const pack_range at = pack_record_range(r, begin, bytes);
 *     unsigned char *buffer = malloc(at.bytes);
 *     pack_read_range(p, &evidence, &at, m, buffer, e)
 *     ... buffer + (begin - at.begin) is byte `begin` of the record
 *
 * May be called by several threads. */
#ifndef PACK_READ_H
#define PACK_READ_H

#include "format/pack/pack_file.h"

/* A run of whole chunks of one record, which are contiguous in the file. */
typedef struct pack_range {
    const pack_record *record;
    uint64_t first, count; /* chunks of the record */
    uint64_t begin, bytes; /* within the record */
} pack_range;

/* The chunks that hold bytes [begin, begin + bytes) of a record; no chunks if `bytes` is 0. The
 * range must be inside the record. */
pack_range pack_record_range(const pack_record *r, uint64_t begin, uint64_t bytes);

/* Read a range into `buffer`, at->bytes bytes, and check it. ERR_IO; ERR_DAMAGED: a digest does not
 * match; the message names tensor, chunk and offset; ERR_CANCELLED, of chunks that are long. */
MUST_CHECK err_code pack_read_range(const pack_file *p, const pack_evidence *v,
                                    const pack_range *at, const monitor *m, unsigned char *buffer,
                                    err *e);

/* Only the check, for bytes that were read in another way. */
MUST_CHECK err_code pack_check_range(const pack_file *p, const pack_evidence *v,
                                     const pack_range *at, const monitor *m,
                                     const unsigned char *data, err *e);

#endif
