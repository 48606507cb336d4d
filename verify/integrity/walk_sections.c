/* Directory, head and sections: everything but tensor data. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/file/io.h"
#include "format/base/num.h"
#include "format/pack/pack_build.h"
#include "verify/integrity/section_rules.h"
#include "verify/integrity/walk.h"

enum { STREAM_BYTES = 1 << 20 };

void walk_padding(damage_list *to, const unsigned char *padding, uint64_t off, uint64_t bytes)
{
    if (pack_all_zero(padding, bytes)) {
        return;
    }
    uint64_t first = 0;
    uint64_t end = bytes;
    uint64_t count = 0;
    while (padding[first] == 0) {
        first++;
    }
    while (padding[end - 1] == 0) {
        end--;
    }
    for (uint64_t i = first; i < end; i++) {
        count += padding[i] != 0;
    }
    damage_add(to, &DAMAGED_AT(off + first, end - first), "padding",
               "bytes that are not zero: %" PRIu64, count);
}

err_code walk_padding_at(walk *w, uint64_t off, uint64_t end, err *e)
{
    unsigned char padding[PACK_BLOCK];
    if (end > w->file_bytes || end <= off) {
        return OK;
    }
    const err_code code = io_read_at(w->fd, w->path, off, padding, end - off, e);
    if (code == OK) {
        walk_padding(&w->damages, padding, off, end - off);
        w->bytes_checked += end - off;
    }
    return code;
}

/* ---- directory ------------------------------------------------- */

/* The head's part of the directory, with empty stand-ins for the tail's: is it legal on its own? */
static err_code take_head_directory(walk *w, err *why)
{
    const pack_superblock *const s = &w->superblock;
    uint64_t ignored = 0;
    memcpy(w->dir, s->dir, s->head_sections * sizeof *w->dir);
    for (uint32_t i = 0; i < PACK_TAIL_SECTIONS; i++) {
        w->dir[s->head_sections + i] = (pack_section){
            .tag = (uint32_t)pack_required_tags[PACK_HEAD_SECTIONS + i], .off = s->data_end};
    }
    const err_code code =
        pack_directory_check(w->dir, s->head_sections, s->head_sections + PACK_TAIL_SECTIONS,
                             s->data_off, s->data_end, &ignored, why);
    if (code == OK) {
        w->head_count = w->section_count = s->head_sections;
    }
    return code;
}

/* The tail's part, from the trailer. */
static err_code take_tail_directory(walk *w, err *why)
{
    const pack_superblock *const s = &w->superblock;
    const pack_trailer *const t = &w->trailer;
    uint64_t end = 0;
    if (t->sections < w->head_count) {
        return err_set(why, ERR_INPUT, "%u sections, but %u in the head", t->sections,
                       w->head_count);
    }
    memcpy(w->dir + w->head_count, t->dir + w->head_count,
           (t->sections - w->head_count) * sizeof *w->dir);
    err_code code = pack_directory_check(w->dir, w->head_count, t->sections, s->data_off,
                                         s->data_end, &end, why);
    if (code == OK && end != t->file_bytes) {
        code =
            err_set(why, ERR_INPUT, "the sections end at %" PRIu64 ", the file has to at %" PRIu64,
                    end, t->file_bytes);
    }
    if (code == OK) {
        w->section_count = t->sections;
    }
    return code;
}

static void take_directory(walk *w)
{
    err why = {0};
    const uint64_t trailer_off = w->trailer.file_bytes - PACK_BLOCK;
    if (take_head_directory(w, &why) != OK) {
        damage_add(&w->damages, &ILLEGAL_AT(0, PACK_BLOCK), "superblock", "%s", why.text);
        return;
    }
    if (!w->has_trailer) {
        return;
    }
    const err_code agree = pack_copies_check(w->front, &w->superblock, w->back, &w->trailer,
                                             w->trailer.file_bytes, &why);
    if (agree != OK) {
        damage_add(&w->damages, &DAMAGED_AT(trailer_off, PACK_BLOCK), "trailer", "%s", why.text);
    }
    const err_code legal = take_tail_directory(w, &why);
    if (agree == OK && legal != OK) {
        damage_add(&w->damages, &ILLEGAL_AT(trailer_off, PACK_BLOCK), "trailer", "%s", why.text);
    }
}

/* ---- one section ----------------------------------------------- */

static uint64_t section_end(const walk *w, uint32_t i)
{
    return w->dir[i].off + w->dir[i].len;
}

/* Where the padding behind section `i` ends. */
static uint64_t gap_end(const walk *w, uint32_t i)
{
    if (i + 1 == w->head_count) {
        return w->superblock.data_off;
    }
    return i + 1 < w->section_count ? w->dir[i + 1].off : w->trailer.file_bytes - PACK_BLOCK;
}

static void section_place(const pack_section *s, char place[16])
{
    char tag[5];
    pack_tag_name(s->tag, tag);
    snprintf(place, 16, "section %s", tag);
}

static void judge_digest(walk *w, uint32_t i, const unsigned char sha[SHA256_BYTES])
{
    const pack_section *const s = &w->dir[i];
    w->sound[i] = memcmp(sha, s->sha256, SHA256_BYTES) == 0;
    if (!w->sound[i]) {
        char place[16];
        section_place(s, place);
        damage_add(&w->damages, &DAMAGED_AT(s->off, s->len), place, "its digest does not match");
    }
}

/* Take what a check said about the content of section `i`: a broken rule is a finding, anything
 * else an error. */
static err_code judge_content(walk *w, uint32_t i, err_code code, const err *why, err *e)
{
    if (code == ERR_INPUT) {
        char place[16];
        section_place(&w->dir[i], place);
        damage_add(&w->damages, &ILLEGAL_AT(w->dir[i].off, w->dir[i].len), place, "%s", why->text);
        return OK;
    }
    return code == OK ? OK : err_set(e, code, "%s: %s", w->path, why->text);
}

static err_code check_rules(walk *w, uint32_t i, const unsigned char *data, err *e)
{
    err why = {0};
    if (!w->sound[i]) {
        return OK;
    }
    const err_code code = section_rules_check(w->dir[i].tag, data, w->dir[i].len, &why);
    return judge_content(w, i, code, &why, e);
}

/* ---- head ------------------------------------------------------ */

static err_code load_head(walk *w, err *e)
{
    w->head_bytes = num_min(w->superblock.data_off, w->file_bytes) - PACK_BLOCK;
    w->head = malloc(w->head_bytes);
    if (!w->head) {
        return err_set(e, ERR_MEMORY, "%s: no memory for its head of %" PRIu64 " bytes", w->path,
                       w->head_bytes);
    }
    w->bytes_checked += w->head_bytes;
    return io_read_at(w->fd, w->path, PACK_BLOCK, w->head, w->head_bytes, e);
}

static bool plan_id_matches(const walk *w)
{
    unsigned char id[XXH3_BYTES];
    digest_xxh3(w->head, w->head_bytes, id);
    return memcmp(id, w->superblock.plan_id, XXH3_BYTES) == 0;
}

/* Digests of the sections of the head, padding around them, and the digest of it all. A part that
 * the file does not reach is a matter of its length. */
static void check_head(walk *w)
{
    const uint64_t have = PACK_BLOCK + w->head_bytes;
    const bool whole = have == w->superblock.data_off;
    const bool planned = whole && plan_id_matches(w);
    for (uint32_t i = 0; i < w->head_count; i++) {
        const pack_section *const s = &w->dir[i];
        const uint64_t end = section_end(w, i);
        const bool skip = w->options->quick && planned && s->tag == TAG_FILE;
        if (end <= have && !skip) {
            unsigned char sha[SHA256_BYTES];
            digest_sha256(w->head + (s->off - PACK_BLOCK), s->len, sha);
            judge_digest(w, i, sha);
        }
        if (end <= have) {
            walk_padding(&w->damages, w->head + (end - PACK_BLOCK), end,
                         num_min(gap_end(w, i), have) - end);
        }
    }
    if (whole && !planned &&
        !damage_list_touches(&w->damages, PACK_BLOCK, w->superblock.data_off)) {
        damage_add(&w->damages, &DAMAGED_AT(PACK_BLOCK, w->head_bytes), "head",
                   "its digest (plan_id) does not match");
    }
}

/* The section of this tag if its digest is right; section_count for none. */
static uint32_t find_sound(const walk *w, uint32_t tag)
{
    for (uint32_t i = 0; i < w->section_count; i++) {
        if (w->dir[i].tag == tag && w->sound[i]) {
            return i;
        }
    }
    return w->section_count;
}

static err_code decode_table(walk *w, err *e)
{
    err why = {0};
    const uint32_t tens = find_sound(w, TAG_TENS);
    const uint32_t nidx = find_sound(w, TAG_NIDX);
    const uint32_t strs = find_sound(w, TAG_STRS);
    if (tens == w->section_count || nidx == w->section_count || strs == w->section_count) {
        return OK;
    }
    const err_code code =
        pack_table_decode(w->head + (w->dir[tens].off - PACK_BLOCK), w->dir[tens].len,
                          w->head + (w->dir[nidx].off - PACK_BLOCK), w->dir[nidx].len,
                          w->head + (w->dir[strs].off - PACK_BLOCK), w->dir[strs].len,
                          &w->superblock, &w->table, &why);
    w->has_table = code == OK;
    return judge_content(w, tens, code, &why, e);
}

/* ---- tail ------------------------------------------------------ */

/* The length that the table asks of a section of the tail; false if it asks for none. */
static bool length_expected(const walk *w, uint32_t tag, uint64_t *bytes)
{
    const uint64_t each = digest_bytes(w->superblock.digest);
    switch (w->has_table ? tag : 0) {
    case TAG_CHNK:
        *bytes = w->table.chunk_count * each;
        return true;
    case TAG_TDIG:
        *bytes = w->table.count * each;
        return true;
    case TAG_SDIG:
        *bytes = w->table.source_count * XXH3_BYTES;
        return true;
    case TAG_STAT:
        *bytes = w->table.stat_count * PACK_STAT_BYTES;
        return true;
    default:
        return false;
    }
}

/* Digest a section that may be larger than anything this tool knows. */
static err_code stream_section(walk *w, uint32_t i, err *e)
{
    const pack_section *const s = &w->dir[i];
    unsigned char *const buffer = malloc(STREAM_BYTES);
    digest_stream *sha = digest_start(DIGEST_SHA256);
    err_code code = OK;
    if (!buffer || !sha) {
        code = err_set(e, ERR_MEMORY, "%s: no memory", w->path);
    }
    for (uint64_t done = 0; code == OK && done < s->len;) {
        const uint64_t bytes = num_min(STREAM_BYTES, s->len - done);
        code = monitor_cancelled(w->monitor)
                   ? err_set(e, ERR_CANCELLED, "interrupted")
                   : io_read_at(w->fd, w->path, s->off + done, buffer, bytes, e);
        if (code == OK) {
            digest_add(sha, buffer, bytes);
            done += bytes;
        }
    }
    if (code == OK) {
        unsigned char found[SHA256_BYTES];
        digest_finish(sha, found);
        sha = NULL;
        judge_digest(w, i, found);
    }
    digest_discard(sha);
    free(buffer);
    return code;
}

/* Load a section whose length is right, check its digest and content, and keep the digests that
 * tensor data is checked against. */
static err_code load_section(walk *w, uint32_t i, err *e)
{
    const pack_section *const s = &w->dir[i];
    unsigned char *data = malloc(s->len + 1);
    if (!data) {
        return err_set(e, ERR_MEMORY, "%s: no memory for a section of %" PRIu64 " bytes", w->path,
                       s->len);
    }
    unsigned char sha[SHA256_BYTES];
    err_code code = io_read_at(w->fd, w->path, s->off, data, s->len, e);
    if (code == OK) {
        digest_sha256(data, s->len, sha);
        judge_digest(w, i, sha);
        code = check_rules(w, i, data, e);
    }
    if (code == OK && s->tag == TAG_CHNK) {
        w->chunk_digests = data;
        w->chunk_digests_sound = w->sound[i];
        data = NULL;
    } else if (code == OK && s->tag == TAG_TDIG) {
        w->tensor_digests = data;
        w->tensor_digests_sound = w->sound[i];
        data = NULL;
    }
    free(data);
    return code;
}

static err_code check_tail_section(walk *w, uint32_t i, err *e)
{
    const pack_section *const s = &w->dir[i];
    if (section_end(w, i) > w->file_bytes) {
        return OK;
    }
    uint64_t expected = 0;
    const bool known = length_expected(w, s->tag, &expected);
    w->bytes_checked += s->len;
    if (s->tag == TAG_PROV || (known && s->len == expected)) {
        return load_section(w, i, e);
    }
    const err_code code = stream_section(w, i, e);
    if (code == OK && known && w->sound[i]) {
        char place[16];
        section_place(s, place);
        damage_add(&w->damages, &ILLEGAL_AT(s->off, s->len), place,
                   "length, expected %" PRIu64 ", found %" PRIu64, expected, s->len);
    }
    return code;
}

/* Both sections right in themselves: TDIG has to follow from CHNK. */
static err_code compare_digests(walk *w, err *e)
{
    if (!w->chunk_digests_sound || !w->tensor_digests_sound) {
        return OK;
    }
    const pack_evidence v = {
        .alg = w->superblock.digest, .chunks = w->chunk_digests, .tensors = w->tensor_digests};
    for (uint32_t i = 0; i < w->table.count; i++) {
        unsigned char found[DIGEST_MAX];
        pack_tensor_digest(&v, &w->table.records[i], found);
        if (memcmp(found, pack_evidence_tensor(&v, i), digest_bytes(v.alg)) != 0) {
            err why = {0};
            const err_code code =
                err_set(&why, ERR_INPUT, "the digest of tensor %s is not that of its chunks",
                        w->table.records[i].name);
            return judge_content(w, find_sound(w, TAG_TDIG), code, &why, e);
        }
    }
    return OK;
}

static err_code check_tail(walk *w, err *e)
{
    err_code code = OK;
    for (uint32_t i = w->head_count; i < w->section_count && code == OK; i++) {
        if (!w->options->quick) {
            code = check_tail_section(w, i, e);
        }
        if (code == OK) {
            code = walk_padding_at(w, section_end(w, i), gap_end(w, i), e);
        }
    }
    return code == OK ? compare_digests(w, e) : code;
}

err_code walk_sections(walk *w, err *e)
{
    if (w->has_superblock) {
        take_directory(w);
    }
    if (w->section_count == 0) {
        return OK;
    }
    err_code code = load_head(w, e);
    if (code != OK) {
        return code;
    }
    check_head(w);
    code = decode_table(w, e);
    for (uint32_t i = 0; i < w->head_count && code == OK; i++) {
        code = check_rules(w, i, w->head + (w->dir[i].off - PACK_BLOCK), e);
    }
    free(w->head);
    w->head = NULL;
    return code == OK ? check_tail(w, e) : code;
}

err_code walk_table(walk *w, err *e)
{
    err why = {0};
    if (take_head_directory(w, &why) != OK) {
        return OK;
    }
    err_code code = load_head(w, e);
    if (code == OK) {
        check_head(w);
        code = decode_table(w, e);
    }
    free(w->head);
    w->head = NULL;
    return code;
}

/* A file without a trailer was cut off, unless it is as long as it has to be: then the trailer's
 * place holds something else. Without a table only the least length is known. */
void walk_length(walk *w)
{
    if (w->file_bytes < 2 * PACK_BLOCK || w->has_trailer || w->trailer_reported) {
        return;
    }
    uint64_t least = w->has_superblock ? w->superblock.data_end + PACK_BLOCK : 2 * PACK_BLOCK;
    if (w->has_table) {
        least = pack_file_bytes(&w->table, w->superblock.digest, 1);
    }
    if (w->has_table && w->file_bytes % PACK_BLOCK == 0 && w->file_bytes >= least) {
        damage_add(&w->damages, &DAMAGED_AT(w->file_bytes - PACK_BLOCK, PACK_BLOCK), "trailer",
                   "it is not there");
        return;
    }
    const uint64_t missing = least > w->file_bytes ? least - w->file_bytes : 0;
    damage_add(&w->damages, &DAMAGED_AT(w->file_bytes, missing), "file",
               "incomplete, there is no trailer: length, expected at least %" PRIu64
               ", found %" PRIu64,
               num_max(least, w->file_bytes + 1), w->file_bytes);
}
