#include "format/pack/pack_layout.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/file/file_kind.h"
#include "format/base/num.h"

/* Offsets of fields, as the tables of spec/format.md give them. */
enum {
    AT_VERSION = 8,
    AT_BLOCK_BYTES = 12,
    AT_INCOMPAT = 16,
    AT_COMPAT = 24,
    AT_SELF = 4080,

    SB_ALIGN_LOG2 = 32,
    SB_CHUNK_LOG2 = 33,
    SB_DIGEST_ALG = 34,
    SB_RESERVED0 = 35,
    SB_HEAD_SECTIONS = 36,
    SB_TENSOR_COUNT = 40,
    SB_CHUNK_COUNT = 48,
    SB_DATA_OFF = 56,
    SB_DATA_END = 64,
    SB_PLAN_ID = 72,
    SB_RESERVED1 = 88,

    TR_SECTIONS = 12,
    TR_FILE_BYTES = 32,
    TR_DATA_END = 40,
    TR_PLAN_ID = 48,
    TR_ROOT = 64,
    TR_RESERVED = 96,
};

enum { VERSION = 1, ALIGN_LOG2 = 16, CHUNK_LOG2 = 21 };

const pack_tag pack_required_tags[PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS] = {
    TAG_TENS, TAG_NIDX, TAG_STRS, TAG_FILE, TAG_RCPE,
    TAG_CHNK, TAG_TDIG, TAG_SDIG, TAG_STAT, TAG_PROV,
};

void pack_tag_name(uint32_t tag, char name[5])
{
    for (int i = 0; i < 4; i++) {
        const int c = (int)(tag >> (8 * i) & 0xff);
        name[i] = c < 0x80 && isalpha(c) ? (char)c : '?';
    }
    name[4] = '\0';
}

bool pack_all_zero(const unsigned char *p, uint64_t bytes)
{
    /* Overlapping compare: byte 0 is zero and every byte equals the one before. */
    return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

static void section_encode(const pack_section *s, unsigned char *p)
{
    le32_store(p, s->tag);
    le64_store(p + 8, s->off);
    le64_store(p + 16, s->len);
    memcpy(p + 32, s->sha256, SHA256_BYTES);
}

static err_code section_decode(const unsigned char *p, uint32_t number, pack_section *s, err *e)
{
    if (le32_load(p + 4) != 0 || le64_load(p + 24) != 0) {
        return err_set(e, ERR_INPUT, "directory entry %u: reserved bytes are not zero", number);
    }
    s->tag = le32_load(p);
    s->off = le64_load(p + 8);
    s->len = le64_load(p + 16);
    memcpy(s->sha256, p + 32, SHA256_BYTES);
    return OK;
}

/* Decode `count` entries at PACK_DIR_OFF; the unused ones, up to `capacity`, must be zero. */
static err_code directory_decode(const unsigned char *block, uint32_t count, uint32_t capacity,
                                 pack_section *dir, err *e)
{
    for (uint32_t i = 0; i < count; i++) {
        TRY(section_decode(block + PACK_DIR_OFF + i * PACK_ENTRY_BYTES, i, &dir[i], e));
    }
    const unsigned char *const unused = block + PACK_DIR_OFF + count * PACK_ENTRY_BYTES;
    if (!pack_all_zero(unused, (uint64_t)(capacity - count) * PACK_ENTRY_BYTES)) {
        return err_set(e, ERR_INPUT, "unused directory entries are not zero");
    }
    return OK;
}

void pack_superblock_encode(const pack_superblock *s, unsigned char *block)
{
    memset(block, 0, PACK_BLOCK);
    memcpy(block, pack_superblock_magic, PACK_MAGIC_BYTES);
    le32_store(block + AT_VERSION, VERSION);
    le32_store(block + AT_BLOCK_BYTES, PACK_BLOCK);
    le64_store(block + AT_INCOMPAT, s->incompat);
    le64_store(block + AT_COMPAT, s->compat);
    block[SB_ALIGN_LOG2] = ALIGN_LOG2;
    block[SB_CHUNK_LOG2] = CHUNK_LOG2;
    block[SB_DIGEST_ALG] = (unsigned char)s->digest;
    le32_store(block + SB_HEAD_SECTIONS, s->head_sections);
    le64_store(block + SB_TENSOR_COUNT, s->tensor_count);
    le64_store(block + SB_CHUNK_COUNT, s->chunk_count);
    le64_store(block + SB_DATA_OFF, s->data_off);
    le64_store(block + SB_DATA_END, s->data_end);
    memcpy(block + SB_PLAN_ID, s->plan_id, XXH3_BYTES);
    for (uint32_t i = 0; i < s->head_sections; i++) {
        section_encode(&s->dir[i], block + PACK_DIR_OFF + i * PACK_ENTRY_BYTES);
    }
    digest_xxh3(block, AT_SELF, block + AT_SELF);
}

static err_code self_check(const unsigned char *block, const char *what, err *e)
{
    unsigned char self[XXH3_BYTES];
    digest_xxh3(block, AT_SELF, self);
    if (memcmp(self, block + AT_SELF, XXH3_BYTES) != 0) {
        return err_set(e, ERR_DAMAGED, "%s: its digest does not match", what);
    }
    return OK;
}

/* Version and flags, common to both blocks. */
static err_code version_check(const unsigned char *block, const char *what, uint64_t *incompat,
                              uint64_t *compat, err *e)
{
    const uint32_t version = le32_load(block + AT_VERSION);
    *incompat = le64_load(block + AT_INCOMPAT);
    *compat = le64_load(block + AT_COMPAT);
    if (version != VERSION) {
        return err_set(e, ERR_INPUT, "%s: version %u, this tool reads version 1", what, version);
    }
    if (*incompat != 0) {
        return err_set(e, ERR_INPUT,
                       "%s: needs features 0x%" PRIx64 " that this tool does not know", what,
                       *incompat);
    }
    return OK;
}

static err_code superblock_fields(const unsigned char *b, pack_superblock *s, err *e)
{
    s->digest = (digest_alg)b[SB_DIGEST_ALG];
    s->head_sections = le32_load(b + SB_HEAD_SECTIONS);
    s->tensor_count = le64_load(b + SB_TENSOR_COUNT);
    s->chunk_count = le64_load(b + SB_CHUNK_COUNT);
    s->data_off = le64_load(b + SB_DATA_OFF);
    s->data_end = le64_load(b + SB_DATA_END);
    memcpy(s->plan_id, b + SB_PLAN_ID, XXH3_BYTES);
    if (le32_load(b + AT_BLOCK_BYTES) != PACK_BLOCK || b[SB_ALIGN_LOG2] != ALIGN_LOG2 ||
        b[SB_CHUNK_LOG2] != CHUNK_LOG2) {
        return err_set(e, ERR_INPUT, "block, alignment or chunk size is not that of version 1");
    }
    if (!digest_known(b[SB_DIGEST_ALG])) {
        return err_set(e, ERR_INPUT, "unknown digest algorithm %d", (int)b[SB_DIGEST_ALG]);
    }
    if (s->head_sections < PACK_HEAD_SECTIONS || s->head_sections > PACK_MAX_HEAD_SECTIONS) {
        return err_set(e, ERR_INPUT, "%u head sections, expected 5 to 16", s->head_sections);
    }
    if (s->tensor_count > PACK_MAX_TENSORS || s->chunk_count > PACK_MAX_CHUNKS) {
        return err_set(e, ERR_INPUT, "more tensors or chunks than the format allows");
    }
    if (s->data_off % PACK_ALIGN != 0 || s->data_end % PACK_BLOCK != 0 ||
        s->data_off > s->data_end || s->data_end > PACK_MAX_OFFSET) {
        return err_set(e, ERR_INPUT, "invalid data area [%" PRIu64 ", %" PRIu64 ")", s->data_off,
                       s->data_end);
    }
    const uint64_t dir_end = PACK_DIR_OFF + PACK_MAX_HEAD_SECTIONS * PACK_ENTRY_BYTES;
    if (b[SB_RESERVED0] != 0 || !pack_all_zero(b + SB_RESERVED1, PACK_DIR_OFF - SB_RESERVED1) ||
        !pack_all_zero(b + dir_end, AT_SELF - dir_end)) {
        return err_set(e, ERR_INPUT, "reserved bytes are not zero");
    }
    return directory_decode(b, s->head_sections, PACK_MAX_HEAD_SECTIONS, s->dir, e);
}

static err_code refuse_other(const unsigned char *block, err *e)
{
    const file_kind *const kind = file_kind_find(block, PACK_BLOCK);
    err_set(e, ERR_INPUT, "not a packed file: %s", kind ? kind->name : "wrong magic");
    if (kind && kind->hint) {
        err_hint(e, "%s", kind->hint);
    }
    return ERR_INPUT;
}

err_code pack_superblock_decode(const unsigned char *block, pack_superblock *out, err *e)
{
    *out = (pack_superblock){0};
    if (memcmp(block, pack_superblock_magic, PACK_MAGIC_BYTES) != 0) {
        return refuse_other(block, e);
    }
    TRY(self_check(block, "superblock", e));
    TRY(version_check(block, "superblock", &out->incompat, &out->compat, e));
    const err_code code = superblock_fields(block, out, e);
    if (code != OK) {
        err_prefix(e, "superblock");
    }
    return code;
}

/* The root covers itself as zeros, and not the trailer's self digest, which covers the root. */
err_code pack_root(const unsigned char *superblock, const unsigned char *trailer,
                   unsigned char root[SHA256_BYTES], err *e)
{
    unsigned char both[PACK_BLOCK + AT_SELF];
    memcpy(both, superblock, PACK_BLOCK);
    memcpy(both + PACK_BLOCK, trailer, AT_SELF);
    memset(both + PACK_BLOCK + TR_ROOT, 0, SHA256_BYTES);
    return digest_sha256(both, sizeof both, root, e);
}

err_code pack_trailer_encode(pack_trailer *t, const unsigned char *superblock, unsigned char *block,
                             err *e)
{
    memset(block, 0, PACK_BLOCK);
    memcpy(block, pack_trailer_magic, PACK_MAGIC_BYTES);
    le32_store(block + AT_VERSION, VERSION);
    le32_store(block + TR_SECTIONS, t->sections);
    le64_store(block + AT_INCOMPAT, t->incompat);
    le64_store(block + AT_COMPAT, t->compat);
    le64_store(block + TR_FILE_BYTES, t->file_bytes);
    le64_store(block + TR_DATA_END, t->data_end);
    memcpy(block + TR_PLAN_ID, t->plan_id, XXH3_BYTES);
    for (uint32_t i = 0; i < t->sections; i++) {
        section_encode(&t->dir[i], block + PACK_DIR_OFF + i * PACK_ENTRY_BYTES);
    }
    TRY(pack_root(superblock, block, t->root, e));
    memcpy(block + TR_ROOT, t->root, SHA256_BYTES);
    digest_xxh3(block, AT_SELF, block + AT_SELF);
    return OK;
}

static err_code trailer_fields(const unsigned char *b, pack_trailer *t, err *e)
{
    t->sections = le32_load(b + TR_SECTIONS);
    t->file_bytes = le64_load(b + TR_FILE_BYTES);
    t->data_end = le64_load(b + TR_DATA_END);
    memcpy(t->plan_id, b + TR_PLAN_ID, XXH3_BYTES);
    memcpy(t->root, b + TR_ROOT, SHA256_BYTES);
    if (t->sections < PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS || t->sections > PACK_MAX_SECTIONS) {
        return err_set(e, ERR_INPUT, "%u sections, expected 10 to 48", t->sections);
    }
    const uint64_t dir_end = PACK_DIR_OFF + PACK_MAX_SECTIONS * PACK_ENTRY_BYTES;
    if (!pack_all_zero(b + TR_RESERVED, PACK_DIR_OFF - TR_RESERVED) ||
        !pack_all_zero(b + dir_end, AT_SELF - dir_end)) {
        return err_set(e, ERR_INPUT, "reserved bytes are not zero");
    }
    return directory_decode(b, t->sections, PACK_MAX_SECTIONS, t->dir, e);
}

err_code pack_trailer_decode(const unsigned char *block, pack_trailer *out, err *e)
{
    *out = (pack_trailer){0};
    if (memcmp(block, pack_trailer_magic, PACK_MAGIC_BYTES) != 0) {
        return err_set(e, ERR_DAMAGED, "trailer: wrong magic, the file is incomplete or damaged");
    }
    TRY(self_check(block, "trailer", e));
    TRY(version_check(block, "trailer", &out->incompat, &out->compat, e));
    const err_code code = trailer_fields(block, out, e);
    if (code != OK) {
        err_prefix(e, "trailer");
    }
    return code;
}

/* Every required tag occurs once and in order, tags of the head in the head. Other tags are those
 * of later versions: they are skipped if their first letter is lower case, which says that a reader
 * may ignore them. */
static err_code tags_check(const pack_section *s, uint32_t head_count, uint32_t count, err *e)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        char name[5];
        pack_tag_name(s[i].tag, name);
        const bool required = found < PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS &&
                              s[i].tag == (uint32_t)pack_required_tags[found];
        if (required && (found < PACK_HEAD_SECTIONS) == (i < head_count)) {
            found++;
        } else if ((s[i].tag & 0x20) == 0 || strchr(name, '?')) {
            return err_set(e, ERR_INPUT, "section %u: %s is unknown or out of place", i, name);
        }
    }
    if (found != PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS) {
        char name[5];
        pack_tag_name((uint32_t)pack_required_tags[found], name);
        return err_set(e, ERR_INPUT, "section %s is missing", name);
    }
    return OK;
}

static uint64_t section_limit(uint32_t tag)
{
    switch (tag) {
    case TAG_FILE:
        return PACK_MAX_FILES;
    case TAG_RCPE:
    case TAG_PROV:
        return PACK_MAX_JSON;
    default:
        return (uint64_t)1 << 40;
    }
}

err_code pack_directory_check(const pack_section *sections, uint32_t head_count, uint32_t count,
                              uint64_t data_off, uint64_t data_end, uint64_t *file_bytes, err *e)
{
    TRY(tags_check(sections, head_count, count, e));
    uint64_t cursor = PACK_BLOCK;
    for (uint32_t i = 0; i < count; i++) {
        const pack_section *const s = &sections[i];
        char name[5];
        pack_tag_name(s->tag, name);
        if (i == head_count) {
            cursor = data_end;
        }
        if (s->off != cursor) {
            return err_set(e, ERR_INPUT, "section %s: offset, expected %" PRIu64 ", found %" PRIu64,
                           name, cursor, s->off);
        }
        if (s->len > section_limit(s->tag) || !num_add(cursor, s->len, &cursor) ||
            !num_align_up(cursor, PACK_BLOCK, &cursor) || cursor > PACK_MAX_OFFSET) {
            return err_set(e, ERR_INPUT, "section %s: %" PRIu64 " bytes, more than allowed", name,
                           s->len);
        }
        if (i + 1 == head_count) {
            uint64_t expected = 0;
            if (!num_align_up(cursor, PACK_ALIGN, &expected) || expected != data_off ||
                cursor > GIB) {
                return err_set(e, ERR_INPUT, "data_off: expected %" PRIu64 ", found %" PRIu64,
                               expected, data_off);
            }
        }
    }
    *file_bytes = cursor + PACK_BLOCK;
    return OK;
}
