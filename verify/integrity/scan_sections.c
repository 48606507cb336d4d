/* Directory, head and sections: everything except tensor data.
 *
 * The order is that of trust. The directory says where sections are, so it must be legal first; its
 * head part comes from the superblock and its tail part from the trailer, and the head part alone
 * still gives the table. The table says how long the digests of the tail must be. Whatever cannot
 * be trusted is skipped, and so is everything that would need it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/file/io.h"
#include "format/base/num.h"
#include "format/pack/pack_build.h"
#include "format/pack/pack_record.h"
#include "verify/integrity/section_rules.h"
#include "verify/integrity/scan.h"

enum { STREAM_BYTES = 1 << 20, HEAD_PIECE = 16 << 20 };

void scan_padding(damage_list *to, const unsigned char *padding, uint64_t off, uint64_t bytes)
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

err_code scan_padding_at(scan *s, uint64_t off, uint64_t end, err *e)
{
    unsigned char padding[PACK_BLOCK];
    if (end > s->file_bytes || end <= off) {
        return OK;
    }
    TRY(io_read_at(s->fd, s->path, off, padding, end - off, e));
    scan_padding(&s->damages, padding, off, end - off);
    s->bytes_checked += end - off;
    return OK;
}

/* ---- directory ------------------------------------------------- */

/* The head's part of the directory. pack_directory_check wants a whole directory, so empty entries
 * take the place of the tail's. */
static err_code take_head_directory(scan *s, err *why)
{
    const pack_superblock *const super = &s->superblock;
    uint64_t ignored = 0;
    memcpy(s->dir, super->dir, super->head_sections * sizeof *s->dir);
    for (uint32_t i = 0; i < PACK_TAIL_SECTIONS; i++) {
        s->dir[super->head_sections + i] = (pack_section){
            .tag = (uint32_t)pack_required_tags[PACK_HEAD_SECTIONS + i], .off = super->data_end};
    }
    TRY(pack_directory_check(s->dir, super->head_sections,
                             super->head_sections + PACK_TAIL_SECTIONS, super->data_off,
                             super->data_end, &ignored, why));
    s->head_count = s->section_count = super->head_sections;
    return OK;
}

/* The tail's part of the directory, from the trailer. */
static err_code take_tail_directory(scan *s, err *why)
{
    const pack_superblock *const super = &s->superblock;
    const pack_trailer *const t = &s->trailer;
    uint64_t end = 0;
    if (t->sections < s->head_count) {
        return err_set(why, ERR_INPUT, "%u sections, but %u in the head", t->sections,
                       s->head_count);
    }
    memcpy(s->dir + s->head_count, t->dir + s->head_count,
           (t->sections - s->head_count) * sizeof *s->dir);
    TRY(pack_directory_check(s->dir, s->head_count, t->sections, super->data_off, super->data_end,
                             &end, why));
    if (end != t->file_bytes) {
        return err_set(why, ERR_INPUT,
                       "the sections end at %" PRIu64 ", the file must end at %" PRIu64, end,
                       t->file_bytes);
    }
    s->section_count = t->sections;
    return OK;
}

static err_code take_directory(scan *s, err *e)
{
    err why = {0};
    const uint64_t trailer_off = s->trailer.file_bytes - PACK_BLOCK;
    if (take_head_directory(s, &why) != OK) {
        damage_add(&s->damages, &ILLEGAL_AT(0, PACK_BLOCK), "superblock", "%s", why.text);
        return OK;
    }
    if (!s->has_trailer) {
        return OK;
    }
    const err_code agree = pack_copies_check(s->front, &s->superblock, s->back, &s->trailer,
                                             s->trailer.file_bytes, &why);
    if (agree == ERR_DAMAGED) {
        damage_add(&s->damages, &DAMAGED_AT(trailer_off, PACK_BLOCK), "trailer", "%s", why.text);
    } else if (agree != OK) {
        return err_set(e, agree, "%s: %s", s->path, why.text);
    }
    const err_code legal = take_tail_directory(s, &why);
    if (agree == OK && legal != OK) {
        damage_add(&s->damages, &ILLEGAL_AT(trailer_off, PACK_BLOCK), "trailer", "%s", why.text);
    }
    return OK;
}

/* ---- one section ----------------------------------------------- */

static uint64_t section_end(const scan *s, uint32_t i)
{
    return s->dir[i].off + s->dir[i].len;
}

/* Where the padding after section `i` ends. */
static uint64_t gap_end(const scan *s, uint32_t i)
{
    if (i + 1 == s->head_count) {
        return s->superblock.data_off;
    }
    return i + 1 < s->section_count ? s->dir[i + 1].off : s->trailer.file_bytes - PACK_BLOCK;
}

static void section_place(const pack_section *section, char place[16])
{
    char tag[5];
    pack_tag_name(section->tag, tag);
    snprintf(place, 16, "section %s", tag);
}

static void judge_digest(scan *s, uint32_t i, const unsigned char sha[SHA256_BYTES])
{
    const pack_section *const section = &s->dir[i];
    s->intact[i] = memcmp(sha, section->sha256, SHA256_BYTES) == 0;
    if (!s->intact[i]) {
        char place[16];
        section_place(section, place);
        damage_add(&s->damages, &DAMAGED_AT(section->off, section->len), place,
                   "its digest does not match");
    }
}

/* Handle the result of a check of the content of section `i`: a broken rule (ERR_INPUT) is a
 * finding, anything else is an error of the check itself. */
static err_code judge_content(scan *s, uint32_t i, err_code code, const err *why, err *e)
{
    if (code == ERR_INPUT) {
        char place[16];
        section_place(&s->dir[i], place);
        damage_add(&s->damages, &ILLEGAL_AT(s->dir[i].off, s->dir[i].len), place, "%s", why->text);
        return OK;
    }
    return code == OK ? OK : err_set(e, code, "%s: %s", s->path, why->text);
}

static err_code check_rules(scan *s, uint32_t i, const unsigned char *data, err *e)
{
    err why = {0};
    if (!s->intact[i]) {
        return OK;
    }
    const err_code code = section_rules_check(s->dir[i].tag, data, s->dir[i].len, &why);
    return judge_content(s, i, code, &why, e);
}

/* ---- head ------------------------------------------------------ */

static err_code load_head(scan *s, err *e)
{
    s->head_bytes = num_min(s->superblock.data_off, s->file_bytes) - PACK_BLOCK;
    s->head = malloc(s->head_bytes);
    if (!s->head) {
        return err_set(e, ERR_MEMORY, "%s: no memory for its head of %" PRIu64 " bytes", s->path,
                       s->head_bytes);
    }
    s->bytes_checked += s->head_bytes;
    for (uint64_t done = 0; done < s->head_bytes;) { /* of up to 1 GiB */
        const uint64_t bytes = num_min(HEAD_PIECE, s->head_bytes - done);
        TRY(monitor_step(s->monitor, 0, e));
        TRY(io_read_at(s->fd, s->path, PACK_BLOCK + done, s->head + done, bytes, e));
        done += bytes;
    }
    return OK;
}

/* The table is decoded and the contents are checked: nothing needs the head again. */
static void drop_head(scan *s)
{
    free(s->head);
    s->head = NULL;
}

static bool plan_id_matches(const scan *s)
{
    unsigned char id[XXH3_BYTES];
    digest_xxh3(s->head, s->head_bytes, id);
    return memcmp(id, s->superblock.plan_id, XXH3_BYTES) == 0;
}

/* Check the digests of the head's sections, the padding around them, and the digest of the whole
 * head (plan_id). Parts beyond the end of the file are left to scan_length. */
static err_code check_head(scan *s, err *e)
{
    const uint64_t have = PACK_BLOCK + s->head_bytes;
    const bool whole = have == s->superblock.data_off;
    const bool planned = whole && plan_id_matches(s);
    for (uint32_t i = 0; i < s->head_count; i++) {
        const pack_section *const section = &s->dir[i];
        const uint64_t end = section_end(s, i);
        const bool skip = s->options->quick && planned && section->tag == TAG_FILE;
        if (end <= have && !skip) {
            unsigned char sha[SHA256_BYTES];
            TRY(digest_long(DIGEST_SHA256, s->head + (section->off - PACK_BLOCK), section->len,
                            s->monitor, sha, e));
            judge_digest(s, i, sha);
        }
        if (end <= have) {
            scan_padding(&s->damages, s->head + (end - PACK_BLOCK), end,
                         num_min(gap_end(s, i), have) - end);
        }
    }
    if (whole && !planned &&
        !damage_list_touches(&s->damages, PACK_BLOCK, s->superblock.data_off)) {
        damage_add(&s->damages, &DAMAGED_AT(PACK_BLOCK, s->head_bytes), "head",
                   "its digest (plan_id) does not match");
    }
    return OK;
}

/* The number of the section with this tag; section_count if there is none that is intact. */
static uint32_t find_intact(const scan *s, uint32_t tag)
{
    for (uint32_t i = 0; i < s->section_count; i++) {
        if (s->dir[i].tag == tag && s->intact[i]) {
            return i;
        }
    }
    return s->section_count;
}

static err_code decode_table(scan *s, err *e)
{
    err why = {0};
    const uint32_t tens = find_intact(s, TAG_TENS);
    const uint32_t nidx = find_intact(s, TAG_NIDX);
    const uint32_t strs = find_intact(s, TAG_STRS);
    if (tens == s->section_count || nidx == s->section_count || strs == s->section_count) {
        return OK;
    }
    const err_code code =
        pack_table_decode(s->head + (s->dir[tens].off - PACK_BLOCK), s->dir[tens].len,
                          s->head + (s->dir[nidx].off - PACK_BLOCK), s->dir[nidx].len,
                          s->head + (s->dir[strs].off - PACK_BLOCK), s->dir[strs].len,
                          &s->superblock, &s->table, &why);
    s->has_table = code == OK;
    return judge_content(s, tens, code, &why, e);
}

/* ---- tail ------------------------------------------------------ */

/* The length that the table requires of a section of the tail; false if it requires none. */
static bool length_expected(const scan *s, uint32_t tag, uint64_t *bytes)
{
    const uint64_t each = digest_bytes(s->superblock.digest);
    switch (s->has_table ? tag : 0) {
    case TAG_CHNK:
        *bytes = s->table.chunk_count * each;
        return true;
    case TAG_TDIG:
        *bytes = s->table.count * each;
        return true;
    case TAG_SDIG:
        *bytes = s->table.source_count * XXH3_BYTES;
        return true;
    case TAG_STAT:
        *bytes = s->table.stat_count * PACK_STAT_BYTES;
        return true;
    default:
        return false;
    }
}

/* Check the digest of a section whose content is not looked at and whose length is not bounded: it
 * is read in pieces. */
static err_code stream_section(scan *s, uint32_t i, err *e)
{
    const pack_section *const section = &s->dir[i];
    unsigned char *const buffer = malloc(num_min(STREAM_BYTES, section->len + 1));
    digest_stream *sha = NULL;
    unsigned char found[SHA256_BYTES];
    err_code code = OK;
    TRY_OUT(buffer ? OK : err_set(e, ERR_MEMORY, "%s: no memory", s->path));
    TRY_OUT(digest_open(DIGEST_SHA256, &sha, e));
    for (uint64_t done = 0; done < section->len;) {
        const uint64_t bytes = num_min(STREAM_BYTES, section->len - done);
        if (monitor_cancelled(s->monitor)) {
            TRY_OUT(err_set(e, ERR_CANCELLED, "interrupted"));
        }
        TRY_OUT(io_read_at(s->fd, s->path, section->off + done, buffer, bytes, e));
        TRY_OUT(digest_add(sha, buffer, bytes, e));
        done += bytes;
    }
    TRY_OUT(digest_finish(sha, found, e));
    judge_digest(s, i, found);
out:
    digest_close(sha);
    free(buffer);
    return code;
}

/* Load a section of known length, check its digest and content, and keep it if it holds the digests
 * that tensor data is checked against. */
static err_code load_section(scan *s, uint32_t i, err *e)
{
    const pack_section *const section = &s->dir[i];
    unsigned char *data = malloc(section->len + 1);
    if (!data) {
        return err_set(e, ERR_MEMORY, "%s: no memory for a section of %" PRIu64 " bytes", s->path,
                       section->len);
    }
    unsigned char sha[SHA256_BYTES];
    err_code code = OK;
    TRY_OUT(io_read_at(s->fd, s->path, section->off, data, section->len, e));
    TRY_OUT(digest_long(DIGEST_SHA256, data, section->len, s->monitor, sha, e));
    judge_digest(s, i, sha);
    TRY_OUT(check_rules(s, i, data, e));
    if (section->tag == TAG_CHNK) {
        s->chunk_digests = data;
        s->chunk_digests_intact = s->intact[i];
        data = NULL;
    } else if (section->tag == TAG_TDIG) {
        s->tensor_digests = data;
        s->tensor_digests_intact = s->intact[i];
        data = NULL;
    }
out:
    free(data);
    return code;
}

static err_code check_tail_section(scan *s, uint32_t i, err *e)
{
    const pack_section *const section = &s->dir[i];
    if (section_end(s, i) > s->file_bytes) {
        return OK;
    }
    uint64_t expected = 0;
    const bool known = length_expected(s, section->tag, &expected);
    s->bytes_checked += section->len;
    if (section->tag == TAG_PROV || (known && section->len == expected)) {
        return load_section(s, i, e);
    }
    TRY(stream_section(s, i, e));
    if (known && s->intact[i]) {
        char place[16];
        section_place(section, place);
        damage_add(&s->damages, &ILLEGAL_AT(section->off, section->len), place,
                   "length, expected %" PRIu64 ", found %" PRIu64, expected, section->len);
    }
    return OK;
}

/* If both CHNK and TDIG are intact, TDIG must follow from CHNK. */
static err_code compare_digests(scan *s, err *e)
{
    if (!s->chunk_digests_intact || !s->tensor_digests_intact) {
        return OK;
    }
    const pack_evidence v = {
        .alg = s->superblock.digest, .chunks = s->chunk_digests, .tensors = s->tensor_digests};
    for (uint32_t i = 0; i < s->table.count; i++) {
        unsigned char found[DIGEST_MAX];
        TRY(monitor_step(s->monitor, 0, e)); /* a tensor may have any number of chunks */
        TRY(pack_tensor_digest(&v, &s->table.records[i], found, e));
        if (memcmp(found, pack_evidence_tensor(&v, i), digest_bytes(v.alg)) != 0) {
            err why = {0};
            const err_code code =
                err_set(&why, ERR_INPUT, "the digest of tensor %s is not that of its chunks",
                        s->table.records[i].name);
            return judge_content(s, find_intact(s, TAG_TDIG), code, &why, e);
        }
    }
    return OK;
}

static err_code check_tail(scan *s, err *e)
{
    for (uint32_t i = s->head_count; i < s->section_count; i++) {
        if (!s->options->quick) {
            TRY(check_tail_section(s, i, e));
        }
        TRY(scan_padding_at(s, section_end(s, i), gap_end(s, i), e));
    }
    return compare_digests(s, e);
}

err_code scan_sections(scan *s, err *e)
{
    if (s->has_superblock) {
        TRY(take_directory(s, e));
    }
    if (s->section_count == 0) {
        return OK;
    }
    TRY(load_head(s, e));
    TRY(check_head(s, e));
    TRY(decode_table(s, e));
    for (uint32_t i = 0; i < s->head_count; i++) {
        TRY(check_rules(s, i, s->head + (s->dir[i].off - PACK_BLOCK), e));
    }
    drop_head(s);
    return check_tail(s, e);
}

err_code scan_table(scan *s, err *e)
{
    err why = {0};
    if (take_head_directory(s, &why) != OK) {
        return OK;
    }
    TRY(load_head(s, e));
    TRY(check_head(s, e));
    TRY(decode_table(s, e));
    drop_head(s);
    return OK;
}

/* A file without a trailer was cut off, unless it is as long as the table requires: then something
 * else is in the trailer's place. Without a table only a lower bound of the length is known. */
void scan_length(scan *s)
{
    if (s->file_bytes < 2 * PACK_BLOCK || s->has_trailer || s->trailer_reported) {
        return;
    }
    uint64_t least = s->has_superblock ? s->superblock.data_end + PACK_BLOCK : 2 * PACK_BLOCK;
    if (s->has_table) {
        least = pack_file_bytes(&s->table, s->superblock.digest, 1);
    }
    if (s->has_table && s->file_bytes % PACK_BLOCK == 0 && s->file_bytes >= least) {
        damage_add(&s->damages, &DAMAGED_AT(s->file_bytes - PACK_BLOCK, PACK_BLOCK), "trailer",
                   "missing");
        return;
    }
    const uint64_t missing = least > s->file_bytes ? least - s->file_bytes : 0;
    damage_add(&s->damages, &DAMAGED_AT(s->file_bytes, missing), "file",
               "incomplete, no trailer: length, expected at least %" PRIu64 ", found %" PRIu64,
               num_max(least, s->file_bytes + 1), s->file_bytes);
}
