/* The tensors of a packed file: records, their offsets, their chunks (spec/format.md 5, 6, 7).
 *
 *     pack_table_create(count, name_bytes, &t, e);
 *     ... fill in the fields marked "given", with names in t.names ...
 *     pack_table_sort(&t, e);
 *     pack_table_place(&t, data_off, e);          computes the other fields
 *     pack_table_free(&t);
 *
 * A reader decodes records and compares their offsets with those that the same functions compute
 * from the given fields: there is one definition of the layout. A placed table is only read, by any
 * number of threads. */
#ifndef PACK_TABLE_H
#define PACK_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "format/tensor/block.h"
#include "format/tensor/dialect_id.h"
#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/tensor/tensor_name.h"
#include "format/pack/pack_layout.h"
#include "format/safetensors/safetensors.h"

#define PACK_NO_SCALE UINT32_MAX

typedef enum __attribute__((packed)) pack_class {
    CLASS_KEPT,
    CLASS_CODES,
    CLASS_SCALES
} pack_class;
typedef enum __attribute__((packed)) pack_origin {
    ORIGIN_KEPT,
    ORIGIN_QUANTIZED,
    ORIGIN_CARRIED
} pack_origin;

/* Fields are ordered so that a record takes only 136 bytes: opening a large table is bound by
 * memory bandwidth. */
typedef struct pack_record {
    /* given */
    const char *name;                /* NUL-terminated, owned by the table */
    uint64_t shape[TENSOR_MAX_DIMS]; /* slowest dimension first */
    dtype type, src_type;
    uint8_t ndim;
    pack_class cls;
    pack_origin origin;
    pack_dialect dialect;
    bool stack;         /* the name has a `*`; set by pack_table_sort and by decoding */
    block_format block; /* of codes and of their scales, equal in both; zeros if kept */
    uint32_t scale_idx; /* codes: the record of their scales; otherwise PACK_NO_SCALE */
    /* computed by pack_table_place */
    int32_t layer;     /* -1: none; already set by pack_table_sort and by decoding */
    uint64_t off, len; /* bytes */
    uint64_t chunk_bytes, chunk_first, chunk_count;
    uint64_t source_first; /* index of its first source tensor in SDIG; not for computed scales */
    uint64_t stat_first;   /* index of its first row in STAT; only for codes quantized by octavo */
} pack_record;

typedef struct pack_table {
    pack_record *records;
    uint32_t count;
    uint32_t *by_name; /* record numbers in name order */
    char *names;       /* all names, each with a NUL */
    bool has_stacks;
    uint64_t data_off, data_end;
    uint64_t chunk_count, source_count, stat_count;
} pack_table;

/* A slice: the whole record, or one member of a stack (and of codes of three dimensions). */
uint64_t pack_record_slices(const pack_record *r);      /* 0 only for a shape that begins with 0 */
uint64_t pack_record_slice_bytes(const pack_record *r); /* bytes of one slice */

/* Source tensors that it was made from: E for a stack of E experts, 0 for computed scales, else
 * 1. */
uint64_t pack_record_sources(const pack_record *r);

bool pack_record_computed(const pack_record *r);    /* scales that the writer computed */
bool pack_record_has_stats(const pack_record *r);   /* codes that the writer quantized */
bool pack_record_requantized(const pack_record *r); /* such codes whose source was FP8 */

/* Rows and columns of one slice of a codes record (or of the scales of one). */
uint64_t pack_record_rows(const pack_record *r);
uint64_t pack_record_cols(const pack_record *r);

/* Bytes of the source from which `bytes` bytes of the record were made. */
uint64_t pack_source_bytes(const pack_record *r, uint64_t bytes);

typedef struct pack_chunk {
    uint64_t slice;
    uint64_t begin; /* within the slice, bytes */
    uint64_t bytes;
    uint64_t off; /* in the file */
} pack_chunk;

/* Chunk `i` (0 … chunk_count-1) of a record. */
pack_chunk pack_record_chunk(const pack_record *r, uint64_t i);

/* The blocks of a chunk of codes: whole rows of blocks of one slice, the last one clipped. */
typedef struct pack_blocks {
    uint64_t first; /* number of its first block, and of its first scale, in the record */
    uint64_t row;   /* its first row of blocks, within the slice */
    uint64_t down, across;
} pack_blocks;

pack_blocks pack_chunk_blocks(const pack_record *codes, const pack_chunk *c);

/* The record to which chunk `number` of the file (< chunk_count) belongs. */
uint32_t pack_table_chunk_owner(const pack_table *t, uint64_t number);

/* The record of this name, NULL if there is none. Needs by_name. */
const pack_record *pack_table_find(const pack_table *t, const char *name);

/* A table with memory for `count` records and `name_bytes` bytes of names, NULs included. Release
 * by pack_table_free. ERR_MEMORY. */
MUST_CHECK err_code pack_table_create(uint32_t count, uint64_t name_bytes, pack_table *out, err *e);
void pack_table_free(pack_table *t);

/* Sort the records by (layer, class, name), adjust scale_idx, and fill by_name. ERR_INPUT: two
 * records have the same name, or one has the name of a member of a stack; ERR_MEMORY. */
MUST_CHECK err_code pack_table_sort(pack_table *t, err *e);

/* ERR_INPUT if a plain record has the name of a member of a stack. Needs by_name. */
MUST_CHECK err_code pack_table_check_stacks(const pack_table *t, err *e);

/* Compute the fields marked above and the totals of the table, for data that starts at data_off.
 * ERR_INPUT: too large. */
MUST_CHECK err_code pack_table_place(pack_table *t, uint64_t data_off, err *e);

/* The same, one record after another in table order. */
void pack_place_begin(pack_table *t, uint64_t data_off);
MUST_CHECK err_code pack_place_next(pack_table *t, pack_record *r, err *e);
MUST_CHECK err_code pack_place_end(pack_table *t, err *e);

/* Bytes of all names without their NULs: the length of STRS. */
uint64_t pack_table_names_bytes(const pack_table *t);

#endif
