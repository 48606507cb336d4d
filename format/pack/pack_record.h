/* Records as bytes: the sections TENS, NIDX and STRS of a packed file (spec/format.md section 5).
 *
 *     pack_table_encode(&table, tens, nidx, strs);
 *     pack_table_decode(tens, tens_bytes, nidx, nidx_bytes, strs, strs_bytes, &superblock, &t, e)
 *
 * Decoding reads untrusted input: it checks everything, and pack_table_encode gives the same bytes
 * for the table that results. */
#ifndef PACK_RECORD_H
#define PACK_RECORD_H

#include "format/pack/pack_table.h"

/* Encode a sorted table into buffers of the sizes of its three sections: count *
 * PACK_RECORD_BYTES, count * 4, pack_table_names_bytes. */
void pack_table_encode(const pack_table *t, unsigned char *tens, unsigned char *nidx,
                       unsigned char *strs);

/* Decode, and check everything that spec/format.md section 5 requires. The digests of the sections
 * must have been checked before. ERR_INPUT, ERR_MEMORY. Release *out by pack_table_free. */
MUST_CHECK err_code pack_table_decode(const unsigned char *tens, uint64_t tens_bytes,
                                      const unsigned char *nidx, uint64_t nidx_bytes,
                                      const unsigned char *strs, uint64_t strs_bytes,
                                      const pack_superblock *s, pack_table *out, err *e);

/* The same if TENS arrives in parts, each of whole records. Any bytes may be decoded safely, but
 * before their digests are checked the table must not be used, nor an error reported.
 *
 *     pack_decode_begin(&d, tens_bytes, nidx_bytes, strs, strs_bytes, &superblock, &table, e);
 *     pack_decode_records(&d, part, records, e);      until all are there
 *     pack_decode_end(&d, nidx, e);
 *     pack_table_free(&table);                        also after an error
 *
 * strs must stay valid until the last record. nidx may be read into table.by_name, which is large
 * enough, and decoded in place. An error ends the decoding. */
typedef struct pack_decoder {
    const pack_superblock *superblock;
    const char *strs;
    uint64_t strs_bytes;
    pack_table *table;
    uint32_t next;          /* number of the next record */
    uint64_t name_off;      /* of its name in strs */
    char *name_to;          /* of its name in the table */
    uint64_t window_end;    /* if `plain`, names that start before it are valid, */
    bool plain;             /* and none is that of a stack */
    layer_memory layers;    /* the layer of the previous record */
    uint32_t codes, scales; /* records of these classes so far */
} pack_decoder;

MUST_CHECK err_code pack_decode_begin(pack_decoder *d, uint64_t tens_bytes, uint64_t nidx_bytes,
                                      const unsigned char *strs, uint64_t strs_bytes,
                                      const pack_superblock *s, pack_table *out, err *e);
MUST_CHECK err_code pack_decode_records(pack_decoder *d, const unsigned char *p, uint64_t count,
                                        err *e);
MUST_CHECK err_code pack_decode_end(pack_decoder *d, const unsigned char *nidx, err *e);

#endif
