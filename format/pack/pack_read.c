#include "format/pack/pack_read.h"

#include <inttypes.h>
#include <string.h>

#include "format/file/io.h"
#include "format/pack/pack_end.h"

/* The chunk of a record that holds this byte. Chunks never cross the end of a slice, so the last
 * chunk of each slice may be shorter than the others. */
static uint64_t chunk_of(const pack_record *r, uint64_t byte)
{
    const uint64_t slice_bytes = pack_record_slice_bytes(r);
    const uint64_t per_slice = r->chunk_count / pack_record_slices(r);
    return byte / slice_bytes * per_slice + byte % slice_bytes / r->chunk_bytes;
}

pack_range pack_record_range(const pack_record *r, uint64_t begin, uint64_t bytes)
{
    pack_range at = {.record = r, .begin = begin};
    if (bytes > 0) {
        const uint64_t last = chunk_of(r, begin + bytes - 1);
        const pack_chunk end = pack_record_chunk(r, last);
        at.first = chunk_of(r, begin);
        at.count = last - at.first + 1;
        at.begin = pack_record_chunk(r, at.first).off - r->off;
        at.bytes = end.off + end.bytes - r->off - at.begin;
    }
    return at;
}

static err_code check_chunk(const pack_file *p, const pack_evidence *v, const pack_record *r,
                            uint64_t number, const monitor *m, const unsigned char *data, err *e)
{
    const pack_chunk c = pack_record_chunk(r, number);
    unsigned char found[DIGEST_MAX];
    TRY(digest_long(v->alg, data, c.bytes, m, found, e));
    if (memcmp(found, pack_evidence_chunk(v, r->chunk_first + number), digest_bytes(v->alg)) == 0) {
        return OK;
    }
    err_set(e, ERR_DAMAGED,
            "%s: tensor %s, chunk %" PRIu64 ": its digest does not match (offset %" PRIu64
            ", %" PRIu64 " bytes)",
            p->path, r->name, number, c.off, c.bytes);
    err_hint(e, "octavo verify lists every corrupted place");
    return pack_end(p, NULL, ERR_DAMAGED, e);
}

err_code pack_check_range(const pack_file *p, const pack_evidence *v, const pack_range *at,
                          const monitor *m, const unsigned char *data, err *e)
{
    const pack_record *const r = at->record;
    uint64_t done = 0;
    for (uint64_t i = at->first; i < at->first + at->count; i++) {
        TRY(monitor_step(m, i - at->first, e));
        TRY(check_chunk(p, v, r, i, m, data + done, e));
        done += pack_record_chunk(r, i).bytes;
    }
    return OK;
}

err_code pack_read_range(const pack_file *p, const pack_evidence *v, const pack_range *at,
                         const monitor *m, unsigned char *buffer, err *e)
{
    TRY(io_read_at(p->fd, p->path, at->record->off + at->begin, buffer, at->bytes, e));
    return pack_check_range(p, v, at, m, buffer, e);
}
