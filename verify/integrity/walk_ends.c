/* The blocks at both ends of the file. Each has a digest of its own, so it is known which one is
 * damaged; and the trailer's root covers the superblock, so a superblock that was put together from
 * the trailer is proven to be the one that was written. */
#include <inttypes.h>
#include <string.h>

#include "format/file/file_kind.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "verify/integrity/walk.h"

/* A file that has not room for both blocks. */
static err_code refuse_stub(walk *w, err *e)
{
    unsigned char start[4] = {0};
    if (w->file_bytes >= sizeof start) {
        const err_code code = io_read_at(w->fd, w->path, 0, start, sizeof start, e);
        if (code != OK) {
            return code;
        }
    }
    if (memcmp(start, pack_superblock_magic, sizeof start) != 0) {
        return err_set(e, ERR_INPUT, "%s: not a packed file: %" PRIu64 " bytes", w->path,
                       w->file_bytes);
    }
    damage_add(&w->damages, &DAMAGED_AT(w->file_bytes, 2 * PACK_BLOCK - w->file_bytes), "file",
               "incomplete: length, expected at least %d, found %" PRIu64, 2 * PACK_BLOCK,
               w->file_bytes);
    return OK;
}

/* Decode the superblock in `front`. A wrong magic alone is mended: the digest of the block shows
 * that nothing else is wrong. */
static err_code decode_superblock(walk *w, bool *mended, err *why)
{
    unsigned char block[PACK_BLOCK];
    memcpy(block, w->front, PACK_BLOCK);
    memcpy(block, pack_superblock_magic, PACK_MAGIC_BYTES);
    *mended = memcmp(w->front, block, PACK_MAGIC_BYTES) != 0;
    const err_code code = pack_superblock_decode(block, &w->superblock, why);
    if (code == OK) {
        memcpy(w->front, block, PACK_BLOCK);
    }
    return code;
}

/* The superblock as it must have been, if the trailer's root proves it. Only what the root covers
 * is unknown then: how many sections belong to the head, which follows from the offsets, and which
 * digest is used, for which there are two candidates. */
static bool rebuild_superblock(const pack_trailer *t, const unsigned char *trailer,
                               pack_superblock *s, unsigned char *block)
{
    *s = (pack_superblock){.compat = t->compat, .data_end = t->data_end};
    memcpy(s->plan_id, t->plan_id, XXH3_BYTES);
    uint64_t chunk_section = 0;
    uint64_t end = PACK_BLOCK;
    for (uint32_t i = 0; i < t->sections; i++) {
        const pack_section *const d = &t->dir[i];
        chunk_section = d->tag == TAG_CHNK ? d->len : chunk_section;
        if (d->off >= t->data_end || i != s->head_sections || i == PACK_MAX_HEAD_SECTIONS) {
            continue;
        }
        s->dir[s->head_sections++] = *d;
        s->tensor_count = d->tag == TAG_TENS ? d->len / PACK_RECORD_BYTES : s->tensor_count;
        if (!num_add(d->off, d->len, &end)) {
            return false;
        }
    }
    if (!num_align_up(end, PACK_ALIGN, &s->data_off)) {
        return false;
    }
    for (int i = 0; i < DIGEST_COUNT; i++) {
        unsigned char root[SHA256_BYTES];
        s->digest = digest_algs[i];
        s->chunk_count = chunk_section / digest_bytes(s->digest);
        pack_superblock_encode(s, block);
        pack_root(block, trailer, root);
        if (memcmp(root, t->root, SHA256_BYTES) == 0) {
            err ignored = {0};
            return pack_superblock_decode(block, s, &ignored) == OK;
        }
    }
    return false;
}

/* Report a superblock that differs from the `right` one, by the range where it does. */
static void report_difference(walk *w, const unsigned char *right)
{
    uint64_t first = 0;
    uint64_t end = PACK_BLOCK;
    while (first < end && w->front[first] == right[first]) {
        first++;
    }
    while (end > first && w->front[end - 1] == right[end - 1]) {
        end--;
    }
    damage_add(&w->damages, &DAMAGED_AT(first, end - first), "superblock",
               "its digest does not match; the trailer shows what it was");
}

static void mend_superblock(walk *w, const err *why)
{
    unsigned char block[PACK_BLOCK];
    pack_superblock s;
    if (w->has_trailer && rebuild_superblock(&w->trailer, w->back, &s, block)) {
        report_difference(w, block);
        memcpy(w->front, block, PACK_BLOCK);
        w->superblock = s;
        w->has_superblock = true;
        return;
    }
    damage at = DAMAGED_AT(0, PACK_BLOCK);
    at.code = why->code;
    damage_add(&w->damages, &at, "superblock", "%s", why->text);
}

/* Read the block at `off`; is it the trailer of a file that ends behind it? */
static err_code read_trailer(walk *w, uint64_t off, bool *found, err *e)
{
    err ignored = {0};
    const err_code code = io_read_at(w->fd, w->path, off, w->back, PACK_BLOCK, e);
    *found = code == OK && pack_trailer_decode(w->back, &w->trailer, &ignored) == OK &&
             w->trailer.file_bytes == off + PACK_BLOCK;
    return code;
}

/* Look for the trailer before the end of a file that does not end with it. Only a superblock says
 * where that may be, and without both there is nothing to go on with. */
static err_code search_trailer(walk *w, err *e)
{
    err_code code = OK;
    uint64_t off = w->has_superblock ? w->superblock.data_end : w->file_bytes;
    for (; code == OK && !w->has_trailer && off + PACK_BLOCK <= w->file_bytes; off += PACK_BLOCK) {
        if (monitor_cancelled(w->monitor)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        code = read_trailer(w, off, &w->has_trailer, e);
    }
    return code;
}

static void report_length(walk *w)
{
    const uint64_t expected = w->trailer.file_bytes;
    const uint64_t begin = num_min(expected, w->file_bytes);
    damage_add(&w->damages, &DAMAGED_AT(begin, num_max(expected, w->file_bytes) - begin), "file",
               "length, expected %" PRIu64 ", found %" PRIu64, expected, w->file_bytes);
}

/* The last block, which has to be the trailer and is not a right one. Its magic may be what is
 * wrong. */
static void judge_last_block(walk *w, uint64_t off)
{
    err why = {0};
    const damage at = DAMAGED_AT(off, PACK_BLOCK);
    const bool named = memcmp(w->back, pack_trailer_magic, PACK_MAGIC_BYTES) == 0;
    memcpy(w->back, pack_trailer_magic, PACK_MAGIC_BYTES);
    const err_code code = pack_trailer_decode(w->back, &w->trailer, &why);
    w->has_trailer = code == OK;
    w->trailer_reported = named ? code != OK : code == OK;
    if (named && code != OK) {
        damage illegal = at;
        illegal.code = code;
        damage_add(&w->damages, &illegal, "trailer", "%s", why.text);
    } else if (!named && code == OK) {
        damage_add(&w->damages, &DAMAGED_AT(off, PACK_MAGIC_BYTES), "trailer", "wrong magic");
    }
}

/* The last block is not the right trailer: look for it elsewhere, or say what is wrong with it. */
static err_code find_trailer(walk *w, bool aligned, err *e)
{
    const uint64_t last = w->file_bytes - PACK_BLOCK;
    err_code code = search_trailer(w, e);
    if (code == OK && !w->has_trailer && aligned) {
        code = io_read_at(w->fd, w->path, last, w->back, PACK_BLOCK, e);
        if (code == OK) {
            judge_last_block(w, last);
        }
    }
    if (w->has_trailer && w->trailer.file_bytes != w->file_bytes) {
        report_length(w);
    }
    return code;
}

/* Does either end say that this is a packed file? Half of the first magic is enough: the other half
 * is what a transfer in text mode changes. */
static bool is_named(const walk *w, bool aligned)
{
    return memcmp(w->front, pack_superblock_magic, 4) == 0 ||
           (aligned && memcmp(w->back, pack_trailer_magic, PACK_MAGIC_BYTES) == 0);
}

err_code walk_ends(walk *w, err *e)
{
    if (w->file_bytes < 2 * PACK_BLOCK) {
        return refuse_stub(w, e);
    }
    const bool aligned = w->file_bytes % PACK_BLOCK == 0;
    err_code code = io_read_at(w->fd, w->path, 0, w->front, PACK_BLOCK, e);
    if (code == OK && aligned) {
        code = read_trailer(w, w->file_bytes - PACK_BLOCK, &w->has_trailer, e);
    }
    if (code != OK) {
        return code;
    }
    err why = {0};
    bool mended = false;
    const bool named = is_named(w, aligned);
    w->has_superblock = decode_superblock(w, &mended, &why) == OK;
    if (!named && !w->has_superblock) {
        const file_kind *const kind = file_kind_find(w->front, PACK_BLOCK);
        return err_set(e, ERR_INPUT, "%s: not a packed file: %s", w->path,
                       kind ? kind->name : "wrong magic");
    }
    if (!w->has_trailer) {
        code = find_trailer(w, aligned, e);
    }
    if (w->has_superblock && mended) {
        damage_add(&w->damages, &DAMAGED_AT(0, PACK_MAGIC_BYTES), "superblock", "wrong magic");
    } else if (!w->has_superblock) {
        mend_superblock(w, &why);
    }
    w->bytes_checked += 2 * PACK_BLOCK;
    return code;
}
