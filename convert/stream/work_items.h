/* The work list of a conversion: sequences of whole chunks that fit into one slot, in file order.
 *
 *     work_list w;
 *     work_list_make(&plan.table, in_bytes, out_bytes, &w, e);
 *     ... w.items[i] ...
 *     work_list_free(&w);
 *
 * Of the input buffer of a slot each chunk of an item takes an area of item_chunk_in_bytes, one
 * after another. */
#ifndef WORK_ITEMS_H
#define WORK_ITEMS_H

#include "convert/plan/plan.h"

/* Chunks [chunk, chunk + chunks) of one record; computed scales are in no item. */
typedef struct work_item {
    uint32_t record;
    uint32_t chunks;
    uint64_t chunk;
} work_item;

typedef struct work_list {
    work_item *items;
    uint64_t count;
    uint64_t max_chunks; /* of one item */
    uint64_t max_tiles;  /* of one item */
} work_list;

/* The areas of chunks start in slot->in at a multiple of this, and of DIRECT_ALIGN if chunks of the
 * record are large enough to be read past the page cache. */
enum { ITEM_IN_ALIGN = 64 };

/* In the area of a chunk of FP8 that is requantized, its values as floats come first, in this many
 * bytes (padding included), then the source; 0 for all other chunks. */
uint64_t item_chunk_wide_bytes(const pack_record *r, const pack_chunk *c);

/* The size of the area of a chunk in slot->in, and the number of tiles to quantize in it. */
uint64_t item_chunk_in_bytes(const pack_record *r, const pack_chunk *c);
uint64_t item_chunk_tiles(const pack_record *r, const pack_chunk *c);

/* The smallest slot that holds each single chunk of a table. */
void items_largest_chunk(const pack_table *t, uint64_t *in_bytes, uint64_t *out_bytes);

/* An item has at most this many chunks, however small they are, because the tables with an entry
 * for each chunk take memory too. */
enum { ITEM_CHUNKS_MAX = 1024 };

/* Cut a table into items for slots of these sizes, which are at least those of items_largest_chunk.
 * Errors: ERR_MEMORY. Free with work_list_free. */
MUST_CHECK err_code work_list_make(const pack_table *t, uint64_t in_bytes, uint64_t out_bytes,
                                   work_list *out, err *e);
void work_list_free(work_list *w);

#endif
