/* The work list of a conversion: runs of whole chunks that fit into one slot, in file order. */
#ifndef WORK_ITEMS_H
#define WORK_ITEMS_H

#include "convert/plan/plan.h"

/* Chunks [chunk, chunk + chunks) of one record, of any but computed scales. */
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

/* Where rooms for the sources of chunks start in slot->in: at a multiple of this, and of
 * DIRECT_ALIGN if chunks of the record are large enough to be read past the page cache. */
enum { ITEM_IN_ALIGN = 64 };

/* Of FP8 that is quantized once more, the floats that it stands for come first, in so many bytes;
 * 0 for all others. */
uint64_t item_chunk_wide_bytes(const pack_record *r, const pack_chunk *c);

/* Bytes of slot->in that the room of a chunk takes, and tiles to quantize in it. */
uint64_t item_chunk_in_bytes(const pack_record *r, const pack_chunk *c);
uint64_t item_chunk_tiles(const pack_record *r, const pack_chunk *c);

/* What the largest chunk of a table needs of a slot. */
void items_largest_chunk(const pack_table *t, uint64_t *in_bytes, uint64_t *out_bytes);

/* However small chunks are, an item has no more of them: what is kept for each takes memory, too.
 */
enum { ITEM_CHUNKS_MAX = 1024 };

/* Cut a table into items for slots of these sizes, each not less than the largest chunk needs.
 * Errors: ERR_MEMORY. Free with work_list_free. */
MUST_CHECK err_code work_list_make(const pack_table *t, uint64_t in_bytes, uint64_t out_bytes,
                                   work_list *out, err *e);
void work_list_free(work_list *w);

#endif
