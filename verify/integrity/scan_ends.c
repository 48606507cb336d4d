/* The blocks at both ends of the file. Each has a digest of its own, so it is known which one is
 * damaged; and the trailer's root covers the superblock, so a superblock that was put together from
 * the trailer is proven to be the one that was written. */
#include <inttypes.h>
#include <string.h>

#include "format/file/file_kind.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "verify/integrity/scan.h"

/* A file that has not room for both blocks. */
static err_code refuse_stub(scan *s, err *e)
{
    unsigned char start[4] = {0};
    if (s->file_bytes >= sizeof start) {
        TRY(io_read_at(s->fd, s->path, 0, start, sizeof start, e));
    }
    if (memcmp(start, pack_superblock_magic, sizeof start) != 0) {
        return err_set(e, ERR_INPUT, "%s: not a packed file: %" PRIu64 " bytes", s->path,
                       s->file_bytes);
    }
    damage_add(&s->damages, &DAMAGED_AT(s->file_bytes, 2 * PACK_BLOCK - s->file_bytes), "file",
               "incomplete: length, expected at least %d, found %" PRIu64, 2 * PACK_BLOCK,
               s->file_bytes);
    return OK;
}

/* Decode the superblock in `front`. A wrong magic alone is repaired: the digest of the block shows
 * that nothing else is wrong. */
static err_code decode_superblock(scan *s, bool *repaired, err *why)
{
    unsigned char block[PACK_BLOCK];
    memcpy(block, s->front, PACK_BLOCK);
    memcpy(block, pack_superblock_magic, PACK_MAGIC_BYTES);
    *repaired = memcmp(s->front, block, PACK_MAGIC_BYTES) != 0;
    TRY(pack_superblock_decode(block, &s->superblock, why));
    memcpy(s->front, block, PACK_BLOCK);
    return OK;
}

/* The superblock as it must have been, if the trailer's root proves it. Only what the root covers
 * is unknown then: how many sections belong to the head, which follows from the offsets, and which
 * digest is used, for which there are two candidates. */
static bool rebuild_superblock(const pack_trailer *t, const unsigned char *trailer,
                               pack_superblock *super, unsigned char *block)
{
    *super = (pack_superblock){.compat = t->compat, .data_end = t->data_end};
    memcpy(super->plan_id, t->plan_id, XXH3_BYTES);
    uint64_t chunk_section = 0;
    uint64_t end = PACK_BLOCK;
    for (uint32_t i = 0; i < t->sections; i++) {
        const pack_section *const d = &t->dir[i];
        chunk_section = d->tag == TAG_CHNK ? d->len : chunk_section;
        if (d->off >= t->data_end || i != super->head_sections || i == PACK_MAX_HEAD_SECTIONS) {
            continue;
        }
        super->dir[super->head_sections++] = *d;
        super->tensor_count = d->tag == TAG_TENS ? d->len / PACK_RECORD_BYTES : super->tensor_count;
        if (!num_add(d->off, d->len, &end)) {
            return false;
        }
    }
    if (!num_align_up(end, PACK_ALIGN, &super->data_off)) {
        return false;
    }
    for (int i = 0; i < DIGEST_COUNT; i++) {
        unsigned char root[SHA256_BYTES];
        super->digest = digest_algs[i];
        super->chunk_count = chunk_section / digest_bytes(super->digest);
        pack_superblock_encode(super, block);
        pack_root(block, trailer, root);
        if (memcmp(root, t->root, SHA256_BYTES) == 0) {
            err ignored = {0};
            return pack_superblock_decode(block, super, &ignored) == OK;
        }
    }
    return false;
}

/* Report a superblock that differs from the `right` one, by the range where it does. */
static void report_difference(scan *s, const unsigned char *right)
{
    uint64_t first = 0;
    uint64_t end = PACK_BLOCK;
    while (first < end && s->front[first] == right[first]) {
        first++;
    }
    while (end > first && s->front[end - 1] == right[end - 1]) {
        end--;
    }
    damage_add(&s->damages, &DAMAGED_AT(first, end - first), "superblock",
               "its digest does not match; the trailer shows what it was");
}

static void repair_superblock(scan *s, const err *why)
{
    unsigned char block[PACK_BLOCK];
    pack_superblock super;
    if (s->has_trailer && rebuild_superblock(&s->trailer, s->back, &super, block)) {
        report_difference(s, block);
        memcpy(s->front, block, PACK_BLOCK);
        s->superblock = super;
        s->has_superblock = true;
        return;
    }
    damage at = DAMAGED_AT(0, PACK_BLOCK);
    at.code = why->code;
    damage_add(&s->damages, &at, "superblock", "%s", why->text);
}

/* Read the block at `off`; is it the trailer of a file that ends behind it? */
static err_code read_trailer(scan *s, uint64_t off, bool *found, err *e)
{
    err ignored = {0};
    *found = false;
    TRY(io_read_at(s->fd, s->path, off, s->back, PACK_BLOCK, e));
    *found = pack_trailer_decode(s->back, &s->trailer, &ignored) == OK &&
             s->trailer.file_bytes == off + PACK_BLOCK;
    return OK;
}

/* Look for the trailer before the end of a file that does not end with it. Only a superblock says
 * where that may be, and without both there is nothing to go on with. */
static err_code search_trailer(scan *s, err *e)
{
    uint64_t off = s->has_superblock ? s->superblock.data_end : s->file_bytes;
    for (; !s->has_trailer && off + PACK_BLOCK <= s->file_bytes; off += PACK_BLOCK) {
        if (monitor_cancelled(s->monitor)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        TRY(read_trailer(s, off, &s->has_trailer, e));
    }
    return OK;
}

static void report_length(scan *s)
{
    const uint64_t expected = s->trailer.file_bytes;
    const uint64_t begin = num_min(expected, s->file_bytes);
    damage_add(&s->damages, &DAMAGED_AT(begin, num_max(expected, s->file_bytes) - begin), "file",
               "length, expected %" PRIu64 ", found %" PRIu64, expected, s->file_bytes);
}

/* The last block, which has to be the trailer and is not a right one. Its magic may be what is
 * wrong. */
static void judge_last_block(scan *s, uint64_t off)
{
    err why = {0};
    const damage at = DAMAGED_AT(off, PACK_BLOCK);
    const bool named = memcmp(s->back, pack_trailer_magic, PACK_MAGIC_BYTES) == 0;
    memcpy(s->back, pack_trailer_magic, PACK_MAGIC_BYTES);
    const err_code code = pack_trailer_decode(s->back, &s->trailer, &why);
    s->has_trailer = code == OK;
    s->trailer_reported = named ? code != OK : code == OK;
    if (named && code != OK) {
        damage illegal = at;
        illegal.code = code;
        damage_add(&s->damages, &illegal, "trailer", "%s", why.text);
    } else if (!named && code == OK) {
        damage_add(&s->damages, &DAMAGED_AT(off, PACK_MAGIC_BYTES), "trailer", "wrong magic");
    }
}

/* The last block is not the right trailer: look for it elsewhere, or say what is wrong with it. */
static err_code find_trailer(scan *s, bool aligned, err *e)
{
    const uint64_t last = s->file_bytes - PACK_BLOCK;
    TRY(search_trailer(s, e));
    if (!s->has_trailer && aligned) {
        TRY(io_read_at(s->fd, s->path, last, s->back, PACK_BLOCK, e));
        judge_last_block(s, last);
    }
    if (s->has_trailer && s->trailer.file_bytes != s->file_bytes) {
        report_length(s);
    }
    return OK;
}

/* Does either end say that this is a packed file? Half of the first magic is enough: the other half
 * is what a transfer in text mode changes. */
static bool is_named(const scan *s, bool aligned)
{
    return memcmp(s->front, pack_superblock_magic, 4) == 0 ||
           (aligned && memcmp(s->back, pack_trailer_magic, PACK_MAGIC_BYTES) == 0);
}

err_code scan_ends(scan *s, err *e)
{
    if (s->file_bytes < 2 * PACK_BLOCK) {
        return refuse_stub(s, e);
    }
    const bool aligned = s->file_bytes % PACK_BLOCK == 0;
    TRY(io_read_at(s->fd, s->path, 0, s->front, PACK_BLOCK, e));
    if (aligned) {
        TRY(read_trailer(s, s->file_bytes - PACK_BLOCK, &s->has_trailer, e));
    }
    err why = {0};
    bool repaired = false;
    const bool named = is_named(s, aligned);
    s->has_superblock = decode_superblock(s, &repaired, &why) == OK;
    if (!named && !s->has_superblock) {
        const file_kind *const kind = file_kind_find(s->front, PACK_BLOCK);
        return err_set(e, ERR_INPUT, "%s: not a packed file: %s", s->path,
                       kind ? kind->name : "wrong magic");
    }
    if (!s->has_trailer) {
        TRY(find_trailer(s, aligned, e));
    }
    if (s->has_superblock && repaired) {
        damage_add(&s->damages, &DAMAGED_AT(0, PACK_MAGIC_BYTES), "superblock", "wrong magic");
    } else if (!s->has_superblock) {
        repair_superblock(s, &why);
    }
    s->bytes_checked += 2 * PACK_BLOCK;
    return OK;
}
