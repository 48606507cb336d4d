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

static void digest_piece(void *ctx, const unsigned char *piece, size_t bytes)
{
    if (piece) {
        digest_add(ctx, piece, bytes);
    } else {
        digest_restart(ctx);
    }
}

/* The rows of a chunk of FP8 that is quantized once more, without codes and scales. */
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

uint64_t chunk_scale_room(const plan *p)
{
    uint64_t room = 0;
    for (uint32_t i = 0; i < p->table.count; i++) {
        const pack_record *const r = &p->table.records[i];
        for (uint64_t k = 0; pack_record_requantized(r) && k < r->chunk_count; k++) {
            const pack_chunk c = pack_record_chunk(r, k);
            room = num_max(room, rows_of(p, r, &c).band.bytes);
        }
    }
    return room;
}

/* Put what the codes stand for before them. */
static err_code widen_chunk(const chunk_reader *cr, const pack_record *r, const pack_chunk *c,
                            unsigned char *scales, digest_stream *digest, unsigned char *room,
                            unsigned char **data, err *e)
{
    fp8_rows rows = rows_of(cr->plan, r, c);
    const err_code code =
        checkpoint_read(cr->cp, rows.pair->other, rows.band.off, scales, rows.band.bytes, e);
    if (code == OK) {
        digest_add(digest, scales, rows.band.bytes);
        rows.codes = *data;
        rows.scales = scales;
        fp8_widen(&rows, (float *)(void *)room); /* rooms are aligned for any number */
        *data = room;
    }
    return code;
}

err_code chunk_read(const chunk_reader *cr, const pack_record *r, uint64_t number,
                    unsigned char *scales, unsigned char *room, unsigned char **data, err *e)
{
    const pack_chunk c = pack_record_chunk(r, number);
    const tensor *const source = cr->plan->members[chunk_source(r, &c)];
    const uint64_t bytes = pack_source_bytes(r, c.bytes);
    digest_stream *const digest = digest_start(DIGEST_XXH3);
    if (!digest) {
        return err_set(e, ERR_MEMORY, "no memory for a digest");
    }
    const direct_witness witness = {digest_piece, digest};
    err_code code =
        checkpoint_read_room(cr->cp, source, chunk_source_off(r, &c),
                             room + item_chunk_wide_bytes(r, &c), bytes, &witness, data, e);
    if (code == OK && pack_record_requantized(r)) {
        code = widen_chunk(cr, r, &c, scales, digest, room, data, e);
    }
    digest_finish(digest, cr->pieces + (r->chunk_first + number) * XXH3_BYTES);
    monitor_advance(cr->m, code == OK ? bytes : 0);
    return code;
}
