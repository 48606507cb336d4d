/* The blocks at both ends of the file. Each has its own digest, so it is known which one is
 * damaged. The trailer's root covers the superblock too: if a superblock that was reconstructed
 * from the trailer gives that root, it is provably the one that was written. */
#include <inttypes.h>
#include <string.h>

#include "format/file/file_kind.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "verify/integrity/scan.h"

/* A file that is too short for both blocks: either not a packed file, or the start of one. */
static err_code judge_stub(scan *s, err *e)
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

/* Decode the superblock in `front`. If only the magic is wrong, it is repaired: the digest of the
 * block proves that nothing else is. */
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

/* Reconstruct the superblock from the trailer; *proven: the trailer's root proves the result.
 * Two fields have no copy in the trailer: the number of sections in the head follows from their
 * offsets, and for the digest algorithm there are only two candidates, both of which are tried. */
static err_code reconstruct_superblock(const pack_trailer *t, const unsigned char *trailer,
                                       pack_superblock *super, unsigned char *block, bool *proven,
                                       err *e)
{
    *proven = false;
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
            return OK;
        }
    }
    if (!num_align_up(end, PACK_ALIGN, &super->data_off)) {
        return OK;
    }
    for (int i = 0; i < DIGEST_COUNT && !*proven; i++) {
        unsigned char root[SHA256_BYTES];
        super->digest = digest_algs[i];
        super->chunk_count = chunk_section / digest_bytes(super->digest);
        pack_superblock_encode(super, block);
        TRY(pack_root(block, trailer, root, e));
        if (memcmp(root, t->root, SHA256_BYTES) == 0) {
            err ignored = {0}; /* of an illegal superblock that the root proves: it stays damaged */
            *proven = pack_superblock_decode(block, super, &ignored) == OK;
        }
    }
    return OK;
}

/* Report the superblock by the range of bytes in which it differs from the `right` one. */
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
               "its digest does not match; reconstructed from the trailer");
}

static err_code repair_superblock(scan *s, const err *why, err *e)
{
    unsigned char block[PACK_BLOCK];
    pack_superblock super = {0};
    bool proven = false;
    if (s->has_trailer) {
        TRY(reconstruct_superblock(&s->trailer, s->back, &super, block, &proven, e));
    }
    if (proven) {
        report_difference(s, block);
        memcpy(s->front, block, PACK_BLOCK);
        s->superblock = super;
        s->has_superblock = true;
        return OK;
    }
    damage at = DAMAGED_AT(0, PACK_BLOCK);
    at.code = why->code;
    damage_add(&s->damages, &at, "superblock", "%s", why->text);
    return OK;
}

/* Read the block at `off`. *found: it is the trailer of a file that ends after it. */
static err_code read_trailer(scan *s, uint64_t off, bool *found, err *e)
{
    err ignored = {0};
    *found = false;
    TRY(io_read_at(s->fd, s->path, off, s->back, PACK_BLOCK, e));
    *found = pack_trailer_decode(s->back, &s->trailer, &ignored) == OK &&
             s->trailer.file_bytes == off + PACK_BLOCK;
    return OK;
}

/* Search a file that does not end with its trailer, for example because bytes were appended. The
 * search starts where the superblock says that the tensor data ends; without a superblock there is
 * nothing to search by. */
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

/* The last block, which must be the trailer and is not a valid one. If only its magic is wrong, it
 * is repaired; if its magic is right, it is a damaged trailer; else it is something else. */
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

/* The last block is not a valid trailer: look for one elsewhere, or report what is wrong here. */
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

/* Does either magic say that this is a packed file? Half of the first magic is enough: the other
 * half is made to change in a text-mode transfer, and such a file is to be called damaged. */
static bool is_named(const scan *s, bool aligned)
{
    return memcmp(s->front, pack_superblock_magic, 4) == 0 ||
           (aligned && memcmp(s->back, pack_trailer_magic, PACK_MAGIC_BYTES) == 0);
}

err_code scan_ends(scan *s, err *e)
{
    if (s->file_bytes < 2 * PACK_BLOCK) {
        return judge_stub(s, e);
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
        TRY(repair_superblock(s, &why, e));
    }
    s->bytes_checked += 2 * PACK_BLOCK;
    return OK;
}
