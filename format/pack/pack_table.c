#include "format/pack/pack_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/memory.h"
#include "format/tensor/tensor_name.h"
#include "format/base/num.h"

bool pack_record_computed(const pack_record *r)
{
    return r->cls == CLASS_SCALES && r->origin == ORIGIN_QUANTIZED;
}

/* Computed scales of a stack are one slice, because they are written and digested in one piece: the
 * scales of a layer are collected while its codes are written (spec/format.md 6). */
static bool is_sliced(const pack_record *r)
{
    return r->cls == CLASS_CODES ? r->ndim == 3 : r->stack && !pack_record_computed(r);
}

uint64_t pack_record_slices(const pack_record *r)
{
    return is_sliced(r) ? r->shape[0] : 1;
}

uint64_t pack_record_slice_bytes(const pack_record *r)
{
    const uint64_t slices = pack_record_slices(r);
    return slices > 1 ? r->len / slices : r->len * slices;
}

uint64_t pack_record_sources(const pack_record *r)
{
    if (pack_record_computed(r)) {
        return 0;
    }
    return r->stack ? r->shape[0] : 1;
}

bool pack_record_has_stats(const pack_record *r)
{
    return r->cls == CLASS_CODES && r->origin == ORIGIN_QUANTIZED;
}

bool pack_record_requantized(const pack_record *r)
{
    return pack_record_has_stats(r) && r->src_type == DTYPE_F8_E4M3;
}

uint64_t pack_record_rows(const pack_record *r)
{
    return r->shape[r->ndim - 2];
}

uint64_t pack_record_cols(const pack_record *r)
{
    return r->shape[r->ndim - 1];
}

uint64_t pack_source_bytes(const pack_record *r, uint64_t bytes)
{
    return bytes * 8 / dtype_bits(r->type) * dtype_bits(r->src_type) / 8;
}

/* Chunks never cross the end of a slice: so each belongs to one source tensor, and experts can be
 * read and checked one by one. */
pack_chunk pack_record_chunk(const pack_record *r, uint64_t i)
{
    const uint64_t slice_bytes = pack_record_slice_bytes(r);
    const uint64_t per_slice = num_max(1, num_ceil_div(slice_bytes, r->chunk_bytes));
    const uint64_t begin = i % per_slice * r->chunk_bytes;
    return (pack_chunk){
        .slice = i / per_slice,
        .begin = begin,
        .bytes = num_min(r->chunk_bytes, slice_bytes - begin),
        .off = r->off + i / per_slice * slice_bytes + begin,
    };
}

pack_blocks pack_chunk_blocks(const pack_record *codes, const pack_chunk *c)
{
    const uint64_t cols = pack_record_cols(codes);
    const block_format f = codes->block;
    pack_blocks b = {.row = c->begin / cols / f.rows,
                     .down = block_down(f, c->bytes / cols),
                     .across = block_across(f, cols)};
    b.first = (c->slice * block_down(f, pack_record_rows(codes)) + b.row) * b.across;
    return b;
}

uint32_t pack_table_chunk_owner(const pack_table *t, uint64_t number)
{
    uint32_t low = 0;
    /* Find the last record with chunk_first <= number. Records without chunks have the chunk_first
     * of the record after them, so the last one of these has chunks. */
    uint32_t high = t->count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (t->records[middle].chunk_first <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

const pack_record *pack_table_find(const pack_table *t, const char *name)
{
    uint32_t low = 0;
    uint32_t high = t->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const pack_record *const r = &t->records[t->by_name[middle]];
        const int order = strcmp(r->name, name);
        if (order == 0) {
            return r;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

err_code pack_table_create(uint32_t count, uint64_t name_bytes, pack_table *out, err *e)
{
    *out = (pack_table){.count = count};
    out->records = memory_large((count + (size_t)1) * sizeof *out->records);
    out->by_name = memory_large((count + (size_t)1) * sizeof *out->by_name);
    out->names = memory_large(name_bytes + 1);
    if (!out->records || !out->by_name || !out->names) {
        pack_table_free(out);
        return err_set(e, ERR_MEMORY, "no memory for a table of %u tensors", count);
    }
    return OK;
}

void pack_table_free(pack_table *t)
{
    free(t->records);
    free(t->by_name);
    free(t->names);
    *t = (pack_table){0};
}

static int record_compare(const void *a, const void *b)
{
    const pack_record *const x = a;
    const pack_record *const y = b;
    if (x->layer != y->layer) {
        return x->layer < y->layer ? -1 : 1;
    }
    if (x->cls != y->cls) {
        return x->cls < y->cls ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

typedef struct name_entry {
    const char *name;
    uint32_t record;
} name_entry;

static int name_compare(const void *a, const void *b)
{
    return strcmp(((const name_entry *)a)->name, ((const name_entry *)b)->name);
}

/* Fill by_name, and check that every name occurs once. An array of names and numbers is sorted
 * instead of by_name itself because qsort passes no context, which comparing numbers would need. */
static err_code index_names(pack_table *t, err *e)
{
    name_entry *const entries = malloc((t->count + (size_t)1) * sizeof *entries);
    if (!entries) {
        return err_set(e, ERR_MEMORY, "no memory for the index of %u names", t->count);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        entries[i] = (name_entry){t->records[i].name, i};
    }
    qsort(entries, t->count, sizeof *entries, name_compare);
    err_code code = OK;
    for (uint32_t i = 0; i < t->count; i++) {
        t->by_name[i] = entries[i].record;
        if (i > 0 && strcmp(entries[i].name, entries[i - 1].name) == 0) {
            code = err_set(e, ERR_INPUT, "tensor %s: two records of this name", entries[i].name);
        }
    }
    free(entries);
    return code;
}

/* Both "experts.*.w" and "experts.3.w" would claim to be expert 3. Only records that look like an
 * expert's are looked up, and none if the table has no stacks, as most large tables. */
err_code pack_table_check_stacks(const pack_table *t, err *e)
{
    for (uint32_t i = 0; i < t->count && t->has_stacks; i++) {
        uint64_t index = 0;
        char stack[NAME_MAX_BYTES + 1];
        const char *const name = t->records[i].name;
        if (name_expert_index(name, &index) && name_make_stack(name, stack)) {
            const pack_record *const r = pack_table_find(t, stack);
            if (r && index < r->shape[0]) {
                return err_set(e, ERR_INPUT, "tensor %s: duplicates a member of the stack %s", name,
                               stack);
            }
        }
    }
    return OK;
}

/* Sorting has moved the records, so every scale_idx is wrong. The scales of codes are found again
 * by their name, which follows from that of the codes. */
static err_code relink_scales(pack_table *t, err *e)
{
    for (uint32_t i = 0; i < t->count; i++) {
        pack_record *const r = &t->records[i];
        if (r->cls == CLASS_CODES) {
            char name[2 * NAME_MAX_BYTES];
            snprintf(name, sizeof name, "%s_scale_inv", r->name);
            const pack_record *const s = pack_table_find(t, name);
            if (!s) {
                return err_set(e, ERR_INTERNAL, "tensor %s: no scales in the table", r->name);
            }
            r->scale_idx = (uint32_t)(s - t->records);
        }
    }
    return OK;
}

/* Sorting by layer puts together what a reader that goes through the model layer by layer needs; by
 * class, because the scales of a layer are known only after all of its codes are. */
err_code pack_table_sort(pack_table *t, err *e)
{
    for (uint32_t i = 0; i < t->count; i++) {
        t->records[i].layer = (int32_t)name_layer(t->records[i].name);
        t->records[i].stack = strchr(t->records[i].name, '*') != NULL;
        t->has_stacks |= t->records[i].stack;
    }
    qsort(t->records, t->count, sizeof *t->records, record_compare);
    TRY(index_names(t, e));
    TRY(pack_table_check_stacks(t, e));
    return relink_scales(t, e);
}

/* A chunk of codes holds whole rows of tiles, so that each can be computed and checked without its
 * neighbors; as many as fit into PACK_CHUNK bytes, but at least one. False: overflow. */
static bool chunk_bytes_of(const pack_record *r, uint64_t *bytes)
{
    *bytes = PACK_CHUNK;
    if (r->cls != CLASS_CODES) {
        return true;
    }
    uint64_t tile_row = 0;
    if (!num_mul(r->block.rows, pack_record_cols(r), &tile_row) || tile_row == 0) {
        return false;
    }
    return num_mul(tile_row, num_max(1, PACK_CHUNK / tile_row), bytes);
}

/* Compute the fields that follow from one record alone. False if they are out of range. */
static bool record_size(pack_record *r)
{
    uint64_t elements = 0;
    for (unsigned i = 0; i < r->ndim; i++) { /* even if another dimension is 0 */
        if (r->shape[i] >= PACK_MAX_DIMENSION) {
            return false;
        }
    }
    if (!dtype_tensor_bytes(r->type, r->shape, r->ndim, &elements, &r->len) ||
        elements >= (uint64_t)1 << 60 || !chunk_bytes_of(r, &r->chunk_bytes)) {
        return false;
    }
    const uint64_t bytes = pack_record_slice_bytes(r);
    const uint64_t per_slice =
        bytes > r->chunk_bytes ? num_ceil_div(bytes, r->chunk_bytes) : bytes > 0;
    return num_mul(per_slice, pack_record_slices(r), &r->chunk_count);
}

void pack_place_begin(pack_table *t, uint64_t data_off)
{
    t->data_off = t->data_end = data_off;
    t->chunk_count = t->source_count = t->stat_count = 0;
}

/* The only definition of the layout: writers use it to place records, readers to check that a file
 * has them there. Large tensors start at multiples of 64 KiB, so that direct I/O and mappings can
 * have them at a page whatever its size; small ones would waste space that way. An empty tensor
 * needs no alignment: its offset is the cursor. Everything is checked, since shapes come from
 * headers of strangers. */
err_code pack_place_next(pack_table *t, pack_record *r, err *e)
{
    uint64_t cursor = t->data_end;
    bool fits = record_size(r);
    if (fits && r->len > 0) {
        fits = r->len >= PACK_ALIGN ? num_align_up(cursor, PACK_ALIGN, &cursor)
                                    : num_align_up(cursor, PACK_SMALL_ALIGN, &cursor);
    }
    r->off = cursor;
    r->chunk_first = t->chunk_count;
    r->source_first = t->source_count;
    r->stat_first = t->stat_count;
    if (!fits || !num_add(cursor, r->len, &t->data_end) || t->data_end > PACK_MAX_OFFSET ||
        !num_add(t->chunk_count, r->chunk_count, &t->chunk_count) ||
        t->chunk_count > PACK_MAX_CHUNKS) {
        return err_set(e, ERR_INPUT, "tensor %s: too large for a packed file", r->name);
    }
    t->source_count += pack_record_sources(r);
    t->stat_count += pack_record_has_stats(r) ? pack_record_slices(r) : 0;
    return OK;
}

err_code pack_place_end(pack_table *t, err *e)
{
    if (!num_align_up(t->data_end, PACK_BLOCK, &t->data_end)) {
        return err_set(e, ERR_INPUT, "the tensors are too large for a packed file");
    }
    return OK;
}

err_code pack_table_place(pack_table *t, uint64_t data_off, err *e)
{
    pack_place_begin(t, data_off);
    for (uint32_t i = 0; i < t->count; i++) {
        TRY(pack_place_next(t, &t->records[i], e));
    }
    return pack_place_end(t, e);
}

uint64_t pack_table_names_bytes(const pack_table *t)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        bytes += strlen(t->records[i].name);
    }
    return bytes;
}
