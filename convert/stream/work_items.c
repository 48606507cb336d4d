#include "convert/stream/work_items.h"

#include <stdlib.h>

#include "format/file/direct.h"
#include "format/base/num.h"

static uint64_t area_align(const pack_record *r)
{
    const pack_chunk largest = pack_record_chunk(r, 0); /* no other chunk is larger */
    return pack_source_bytes(r, largest.bytes) >= DIRECT_MIN ? DIRECT_ALIGN : ITEM_IN_ALIGN;
}

uint64_t item_chunk_wide_bytes(const pack_record *r, const pack_chunk *c)
{
    const uint64_t align = area_align(r);
    return pack_record_requantized(r) ? num_ceil_div(c->bytes * sizeof(float), align) * align : 0;
}

uint64_t item_chunk_in_bytes(const pack_record *r, const pack_chunk *c)
{
    const uint64_t align = area_align(r);
    return item_chunk_wide_bytes(r, c) +
           num_ceil_div(direct_room(pack_source_bytes(r, c->bytes)), align) * align;
}

uint64_t item_chunk_tiles(const pack_record *r, const pack_chunk *c)
{
    if (!pack_record_has_stats(r)) {
        return 0;
    }
    const pack_blocks blocks = pack_chunk_blocks(r, c);
    return blocks.down * blocks.across;
}

void items_largest_chunk(const pack_table *t, uint64_t *in_bytes, uint64_t *out_bytes)
{
    *in_bytes = *out_bytes = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        if (r->chunk_count > 0) {
            const pack_chunk c = pack_record_chunk(r, 0);
            *in_bytes = num_max(*in_bytes, item_chunk_in_bytes(r, &c));
            *out_bytes = num_max(*out_bytes, c.bytes);
        }
    }
}

/* How many chunks of `r` from `first` on fit into a slot, at least one; *tiles: how many tiles they
 * have. */
static uint32_t chunks_that_fit(const pack_record *r, uint64_t first, uint64_t in_bytes,
                                uint64_t out_bytes, uint64_t *tiles)
{
    uint64_t in = 0;
    uint64_t out = 0;
    uint32_t chunks = 0;
    *tiles = 0;
    while (first + chunks < r->chunk_count && chunks < ITEM_CHUNKS_MAX) {
        const pack_chunk c = pack_record_chunk(r, first + chunks);
        in += item_chunk_in_bytes(r, &c);
        out += c.bytes;
        if (chunks > 0 && (in > in_bytes || out > out_bytes)) {
            break;
        }
        *tiles += item_chunk_tiles(r, &c);
        chunks++;
    }
    return chunks;
}

static err_code add_item(work_list *w, uint64_t *capacity, work_item item, err *e)
{
    if (w->count == *capacity) {
        const uint64_t larger = *capacity ? 2 * *capacity : 256;
        work_item *const items = realloc(w->items, larger * sizeof *items);
        if (!items) {
            return err_set(e, ERR_MEMORY, "no memory for the list of work");
        }
        w->items = items;
        *capacity = larger;
    }
    w->items[w->count++] = item;
    return OK;
}

err_code work_list_make(const pack_table *t, uint64_t in_bytes, uint64_t out_bytes, work_list *out,
                        err *e)
{
    *out = (work_list){0};
    uint64_t capacity = 0;
    err_code code = OK;
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        for (uint64_t chunk = 0; !pack_record_computed(r) && chunk < r->chunk_count;) {
            uint64_t tiles = 0;
            const uint32_t chunks = chunks_that_fit(r, chunk, in_bytes, out_bytes, &tiles);
            const work_item item = {.record = i, .chunks = chunks, .chunk = chunk};
            TRY_OUT(add_item(out, &capacity, item, e));
            out->max_chunks = num_max(out->max_chunks, chunks);
            out->max_tiles = num_max(out->max_tiles, tiles);
            chunk += chunks;
        }
    }
out:
    if (code != OK) {
        work_list_free(out);
    }
    return code;
}

void work_list_free(work_list *w)
{
    free(w->items);
    *w = (work_list){0};
}
