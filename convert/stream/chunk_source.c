#include "convert/stream/chunk_source.h"

#include "convert/stream/fp8_wide.h"
#include "convert/stream/work_items.h"
#include "format/base/num.h"

uint64_t chunk_source(const pack_record *r, const pack_chunk *c)
{
    return r->source_first + (r->stack ? c->slice : 0);
}

uint64_t chunk_source_off(const pack_record *r, const pack_chunk *c)
{
    const uint64_t before = r->stack ? 0 : c->slice * pack_record_slice_bytes(r);
    return pack_source_bytes(r, before + c->begin);
}

static err_code digest_piece(void *ctx, const unsigned char *piece, size_t bytes, err *e)
{
    return piece ? digest_add(ctx, piece, bytes, e) : digest_restart(ctx, e);
}

/* The rows of a chunk of FP8 that is requantized; codes and scales are not filled in. */
static fp8_rows rows_of(const plan *p, const pack_record *r, const pack_chunk *c)
{
    const uint64_t source = chunk_source(r, c);
    const uint64_t cols = pack_record_cols(r);
    fp8_rows rows = {
        .pair = &p->scaled[source], .row = c->begin / cols, .rows = c->bytes / cols, .cols = cols};
    rows.band =
        fp8_scale_band(rows.pair, p->members[source], r->stack ? 0 : c->slice, rows.row, rows.rows);
    return rows;
}

uint64_t chunk_scale_bytes(const plan *p)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < p->table.count; i++) {
        const pack_record *const r = &p->table.records[i];
        for (uint64_t k = 0; pack_record_requantized(r) && k < r->chunk_count; k++) {
            const pack_chunk c = pack_record_chunk(r, k);
            most = num_max(most, rows_of(p, r, &c).band.bytes);
        }
    }
    return most;
}

/* Dequantize the codes at *data into the space that was left in front of them. The digest covers
 * codes and scales, because the values depend on both. */
static err_code widen_chunk(const chunk_reader *cr, const pack_record *r, const pack_chunk *c,
                            unsigned char *scales, digest_stream *digest, unsigned char *area,
                            unsigned char **data, err *e)
{
    fp8_rows rows = rows_of(cr->plan, r, c);
    TRY(checkpoint_read(cr->cp, rows.pair->other, rows.band.off, scales, rows.band.bytes, e));
    TRY(digest_add(digest, scales, rows.band.bytes, e));
    rows.codes = *data;
    rows.scales = scales;
    fp8_widen(&rows, (float *)(void *)area); /* areas are aligned for any element type */
    *data = area;
    return OK;
}

static err_code read_digested(const chunk_reader *cr, const pack_record *r, const pack_chunk *c,
                              unsigned char *scales, digest_stream *digest, unsigned char *area,
                              unsigned char **data, err *e)
{
    const direct_witness witness = {digest_piece, digest};
    TRY(checkpoint_read_room(cr->cp, cr->plan->members[chunk_source(r, c)], chunk_source_off(r, c),
                             area + item_chunk_wide_bytes(r, c), pack_source_bytes(r, c->bytes),
                             &witness, data, e));
    return pack_record_requantized(r) ? widen_chunk(cr, r, c, scales, digest, area, data, e) : OK;
}

err_code chunk_read(const chunk_reader *cr, const pack_record *r, uint64_t number,
                    const chunk_scratch *scratch, unsigned char *area, unsigned char **data, err *e)
{
    const pack_chunk c = pack_record_chunk(r, number);
    digest_stream *const digest = scratch->digest;
    TRY(digest_restart(digest, e));
    TRY(read_digested(cr, r, &c, scratch->scales, digest, area, data, e));
    TRY(digest_finish(digest, cr->pieces + (r->chunk_first + number) * XXH3_BYTES, e));
    monitor_advance(cr->m, pack_source_bytes(r, c.bytes));
    return OK;
}
