#include "format/pack/pack_build.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/pack/pack_record.h"

static uint64_t block_up(uint64_t bytes)
{
    return (bytes + PACK_BLOCK - 1) / PACK_BLOCK * PACK_BLOCK;
}

/* Place sections of these lengths one after another from `off`, each at a multiple of PACK_BLOCK;
 * returns the end. The caller has bounded the lengths. */
static uint64_t lay_sections(pack_section *dir, const pack_tag *tags, const uint64_t *lengths,
                             unsigned count, uint64_t off)
{
    for (unsigned i = 0; i < count; i++) {
        dir[i] = (pack_section){.tag = (uint32_t)tags[i], .off = off, .len = lengths[i]};
        off = block_up(off + lengths[i]);
    }
    return off;
}

/* So no head can be longer than 1 GiB: a plan has no more tensors, and no longer names. */
_Static_assert((PACK_RECORD_BYTES + 4 + NAME_MAX_BYTES) * (uint64_t)PACK_MAX_TENSORS +
                       PACK_MAX_FILES + PACK_MAX_JSON + (PACK_HEAD_SECTIONS + 1) * PACK_BLOCK <=
                   GIB,
               "the limits of its parts keep the head within 1 GiB");

/* The order of the steps is forced: the lengths of the head sections give data_off, from which
 * every record gets its offset; only then can the table be encoded and the sections be digested;
 * the superblock contains these digests and is digested last. plan_id is the digest of everything
 * after the superblock. So a reader can trust the head as soon as one block was checked, and two
 * files with the same plan_id have the same layout. */
err_code pack_head_build(pack_table *t, digest_alg alg, pack_text files, pack_text recipe,
                         pack_head *out, err *e)
{
    const uint64_t lengths[PACK_HEAD_SECTIONS] = {
        (uint64_t)t->count * PACK_RECORD_BYTES,
        (uint64_t)t->count * 4,
        pack_table_names_bytes(t),
        files.bytes,
        recipe.bytes,
    };
    *out = (pack_head){0};
    pack_superblock *const s = &out->superblock;
    if (files.bytes > PACK_MAX_FILES || recipe.bytes > PACK_MAX_JSON) {
        return err_set(e, ERR_INPUT,
                       "embedded files of %zu bytes and a recipe of %zu: expected at most 256 MiB "
                       "and 16 MiB",
                       files.bytes, recipe.bytes);
    }
    const uint64_t end =
        lay_sections(s->dir, pack_required_tags, lengths, PACK_HEAD_SECTIONS, PACK_BLOCK);
    out->length = (end + PACK_ALIGN - 1) / PACK_ALIGN * PACK_ALIGN;
    TRY(pack_table_place(t, out->length, e));
    err_code code = OK;
    out->bytes = calloc(1, out->length);
    if (!out->bytes) {
        return err_set(e, ERR_MEMORY, "no memory for the head of the packed file");
    }
    pack_table_encode(t, out->bytes + s->dir[0].off, out->bytes + s->dir[1].off,
                      out->bytes + s->dir[2].off);
    memcpy(out->bytes + s->dir[3].off, files.data, files.bytes);
    memcpy(out->bytes + s->dir[4].off, recipe.data, recipe.bytes);
    for (unsigned i = 0; i < PACK_HEAD_SECTIONS; i++) {
        TRY_OUT(digest_sha256(out->bytes + s->dir[i].off, s->dir[i].len, s->dir[i].sha256, e));
    }
    s->digest = alg;
    s->head_sections = PACK_HEAD_SECTIONS;
    s->tensor_count = t->count;
    s->chunk_count = t->chunk_count;
    s->data_off = t->data_off;
    s->data_end = t->data_end;
    digest_xxh3(out->bytes + PACK_BLOCK, out->length - PACK_BLOCK, s->plan_id);
    pack_superblock_encode(s, out->bytes);
    return OK;
out:
    free(out->bytes);
    *out = (pack_head){0};
    return code;
}

/* Place the tail sections; returns the offset of the trailer. */
static uint64_t lay_tail(const pack_table *t, digest_alg alg, size_t prov_bytes, pack_section *dir)
{
    const uint64_t lengths[PACK_TAIL_SECTIONS] = {
        t->chunk_count * digest_bytes(alg),
        t->count * digest_bytes(alg),
        t->source_count * XXH3_BYTES,
        t->stat_count * PACK_STAT_BYTES,
        prov_bytes,
    };
    return lay_sections(dir, pack_required_tags + PACK_HEAD_SECTIONS, lengths, PACK_TAIL_SECTIONS,
                        t->data_end);
}

uint64_t pack_file_bytes(const pack_table *t, digest_alg alg, size_t prov_bytes)
{
    pack_section dir[PACK_TAIL_SECTIONS];
    return lay_tail(t, alg, prov_bytes, dir) + PACK_BLOCK;
}

err_code pack_tail_reserve(const pack_table *t, digest_alg alg, size_t prov_bytes, pack_tail *out,
                           err *e)
{
    *out = (pack_tail){.length = pack_file_bytes(t, alg, prov_bytes) - t->data_end};
    out->bytes = calloc(1, out->length);
    return out->bytes ? OK : err_set(e, ERR_MEMORY, "no memory for the tail of the packed file");
}

/* The tail comes after the data because digests and statistics are known only when all of it was
 * written: so a file can be written in one pass, even into a pipe. The trailer's root, one SHA-256
 * over superblock and trailer, covers the whole file through the section digests in their
 * directories. A file without a valid trailer is incomplete: the last block commits it. */
err_code pack_tail_build(const pack_head *head, const pack_table *t, pack_evidence *v,
                         pack_text prov, pack_tail *out, err *e)
{
    pack_trailer trailer = {.sections = PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS,
                            .data_end = t->data_end};
    pack_section *const dir = trailer.dir + PACK_HEAD_SECTIONS;
    memcpy(trailer.dir, head->superblock.dir, PACK_HEAD_SECTIONS * sizeof *trailer.dir);
    memcpy(trailer.plan_id, head->superblock.plan_id, XXH3_BYTES);
    err_code code = OK;
    for (uint32_t i = 0; i < t->count; i++) {
        TRY_OUT(pack_tensor_digest(v, &t->records[i], pack_evidence_tensor(v, i), e));
    }
    const uint64_t trailer_off = lay_tail(t, v->alg, prov.bytes, dir);
    trailer.file_bytes = trailer_off + PACK_BLOCK;
    TRY_OUT(out->bytes ? OK : pack_tail_reserve(t, v->alg, prov.bytes, out, e));
    TRY_OUT(out->length == trailer.file_bytes - t->data_end
                ? OK
                : err_set(e, ERR_INTERNAL, "another length of the tail was reserved"));
    const void *const contents[PACK_TAIL_SECTIONS] = {v->chunks, v->tensors, v->sources, v->stats,
                                                      prov.data};
    for (unsigned i = 0; i < PACK_TAIL_SECTIONS; i++) {
        memcpy(out->bytes + (dir[i].off - t->data_end), contents[i], dir[i].len);
        TRY_OUT(digest_sha256(contents[i], dir[i].len, dir[i].sha256, e));
    }
    TRY_OUT(
        pack_trailer_encode(&trailer, head->bytes, out->bytes + (trailer_off - t->data_end), e));
    memcpy(out->root, trailer.root, SHA256_BYTES);
    return OK;
out:
    free(out->bytes);
    *out = (pack_tail){0};
    return code;
}
