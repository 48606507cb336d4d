#include "format/pack/pack_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/archive/embed_tar.h"
#include "format/file/io.h"
#include "format/json/json.h"
#include "format/base/memory.h"
#include "format/base/num.h"
#include "format/pack/pack_end.h"
#include "format/pack/pack_record.h"

/* Only four bytes, which no text begins with: a transfer in text mode changes the rest of the
 * magic, and such a file has to be reported as a damaged packed file. */
static err_code begins_packed(int fd, const char *path, uint64_t file_bytes, bool *is_packed,
                              err *e)
{
    unsigned char start[4] = {0};
    *is_packed = false;
    if (file_bytes >= sizeof start) {
        TRY(io_read_at(fd, path, 0, start, sizeof start, e));
        *is_packed = memcmp(start, pack_superblock_magic, sizeof start) == 0;
    }
    return OK;
}

err_code pack_probe(const char *path, bool *is_packed, err *e)
{
    int fd = -1;
    struct stat st;
    *is_packed = false;
    TRY(io_open_read(path, &fd, &st, e));
    const err_code code = begins_packed(fd, path, (uint64_t)st.st_size, is_packed, e);
    close(fd);
    return code;
}

err_code pack_copies_check(const unsigned char *superblock, const pack_superblock *s,
                           const unsigned char *trailer, const pack_trailer *t, uint64_t file_bytes,
                           err *e)
{
    if (t->file_bytes != file_bytes) {
        return err_set(e, ERR_DAMAGED,
                       "trailer: length of the file, expected %" PRIu64 ", found %" PRIu64,
                       t->file_bytes, file_bytes);
    }
    if (s->incompat != t->incompat || s->compat != t->compat || s->data_end != t->data_end ||
        memcmp(s->plan_id, t->plan_id, XXH3_BYTES) != 0) {
        return err_set(e, ERR_DAMAGED, "trailer: its copies differ from the superblock");
    }
    if (t->sections < s->head_sections ||
        memcmp(superblock + PACK_DIR_OFF, trailer + PACK_DIR_OFF,
               (size_t)s->head_sections * PACK_ENTRY_BYTES) != 0) {
        return err_set(e, ERR_DAMAGED, "trailer: its directory differs from the superblock's");
    }
    unsigned char root[SHA256_BYTES];
    TRY(pack_root(superblock, trailer, root, e));
    if (memcmp(root, t->root, SHA256_BYTES) != 0) {
        return err_set(e, ERR_DAMAGED, "trailer: the root digest does not match");
    }
    return OK;
}

err_code pack_section_load(int fd, const char *path, const pack_section *s, unsigned char **data,
                           err *e)
{
    char name[5];
    pack_tag_name(s->tag, name);
    unsigned char *const buffer = malloc(s->len + 1);
    if (!buffer) {
        return err_set(e, ERR_MEMORY, "%s: no memory for section %s", path, name);
    }
    err_code code = OK;
    unsigned char sha[SHA256_BYTES];
    TRY_OUT(io_read_at(fd, path, s->off, buffer, s->len, e));
    TRY_OUT(digest_sha256(buffer, s->len, sha, e));
    if (memcmp(sha, s->sha256, SHA256_BYTES) != 0) {
        code = err_set(e, ERR_DAMAGED,
                       "%s: section %s: its digest does not match (offset %" PRIu64 ")", path, name,
                       s->off);
        goto out;
    }
    buffer[s->len] = '\0';
    *data = buffer;
    return OK;
out:
    free(buffer);
    return code;
}

const pack_section *pack_find_section(const pack_file *p, uint32_t tag)
{
    for (uint32_t i = 0; i < p->trailer.sections; i++) {
        if (p->trailer.dir[i].tag == tag) {
            return &p->trailer.dir[i];
        }
    }
    return NULL;
}

err_code pack_read_section(const pack_file *p, uint32_t tag, unsigned char **data, uint64_t *bytes,
                           err *e)
{
    const pack_section *const s = pack_find_section(p, tag);
    if (!s) {
        return err_set(e, ERR_INTERNAL, "%s: it has no section 0x%" PRIx32, p->path, tag);
    }
    *bytes = s->len;
    const err_code code = pack_section_load(p->fd, p->path, s, data, e);
    return code == OK ? OK : pack_end(p, NULL, code, e);
}

err_code pack_read_members(const pack_file *p, member **members, size_t *count, err *e)
{
    unsigned char *data = NULL;
    uint64_t bytes = 0;
    *members = NULL;
    *count = 0;
    err_code code = OK;
    TRY_OUT(pack_read_section(p, TAG_FILE, &data, &bytes, e));
    TRY_OUT(archive_unpack((const char *)data, bytes, members, count, e));
out:
    if (code == ERR_DAMAGED || code == ERR_INPUT) { /* the other messages have the path already */
        err_prefix(e, "%s", p->path);
    }
    free(data);
    return code;
}

static err_code copy_member(const pack_file *p, const member *m, char **data, size_t *bytes, err *e)
{
    if (m->bytes > JSON_FILE_LIMIT) {
        return err_set(e, ERR_INPUT, "%s: embedded file %s: %zu bytes, more than the limit of %d",
                       p->path, m->name, m->bytes, JSON_FILE_LIMIT);
    }
    *data = malloc(m->bytes + 1);
    if (!*data) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu bytes", p->path, m->bytes);
    }
    memcpy(*data, m->data, m->bytes);
    (*data)[m->bytes] = '\0';
    *bytes = m->bytes;
    return OK;
}

err_code pack_read_member(const pack_file *p, const char *name, char **data, size_t *bytes, err *e)
{
    member *members = NULL;
    size_t count = 0;
    *data = NULL;
    *bytes = 0;
    err_code code = OK;
    TRY_OUT(pack_read_members(p, &members, &count, e));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0) {
            TRY_OUT(copy_member(p, &members[i], data, bytes, e));
        }
    }
out:
    members_free(members, count);
    return code;
}

/* The superblock is decoded before the length of the file is judged: it decides whether this is a
 * packed file at all, and its data_end whether the file is certainly truncated. */
static err_code open_ends(pack_file *p, err *e)
{
    unsigned char front[PACK_BLOCK];
    unsigned char back[PACK_BLOCK];
    TRY(io_read_at(p->fd, p->path, 0, front, sizeof front, e));
    TRY(pack_superblock_decode(front, &p->superblock, e));
    if (p->file_bytes % PACK_BLOCK != 0) {
        const bool truncated = p->file_bytes < p->superblock.data_end;
        return err_set(e, ERR_DAMAGED, "%" PRIu64 " bytes are not a multiple of 4096: %s",
                       p->file_bytes, truncated ? "truncated" : "truncated, or trailing bytes");
    }
    TRY(io_read_at(p->fd, p->path, p->file_bytes - PACK_BLOCK, back, sizeof back, e));
    TRY(pack_trailer_decode(back, &p->trailer, e));
    TRY(pack_copies_check(front, &p->superblock, back, &p->trailer, p->file_bytes, e));
    uint64_t expected = 0;
    TRY(pack_directory_check(p->trailer.dir, p->superblock.head_sections, p->trailer.sections,
                             p->superblock.data_off, p->superblock.data_end, &expected, e));
    if (expected != p->file_bytes) {
        return err_set(e, ERR_INPUT, "the sections end at %" PRIu64 ", the file at %" PRIu64,
                       expected, p->file_bytes);
    }
    return OK;
}

/* The head passes through one small buffer: each byte is digested, in file order, and the records
 * are decoded while they are still in the cache. */
enum { PIECE = 256 << 10 };

typedef struct head_pass {
    const pack_file *file;
    uint64_t at; /* bytes before it are digested */
    digest_stream *digest;
    unsigned char *piece, *strs;
    pack_decoder decoder;
    err broken; /* the first broken rule; reported only if the digest matches */
} head_pass;

/* Read and digest up to `end`. The bytes go to `to`, or into the piece if that is NULL. */
static err_code pass_bytes(head_pass *h, uint64_t end, unsigned char *to, err *e)
{
    while (h->at < end) {
        const uint64_t n = num_min(PIECE, end - h->at);
        unsigned char *const p = to ? to : h->piece;
        TRY(io_read_at(h->file->fd, h->file->path, h->at, p, n, e));
        TRY(digest_add(h->digest, p, n, e));
        h->at += n;
        to = to ? to + n : NULL;
    }
    return OK;
}

/* `s` and the padding before it. */
static err_code pass_section(head_pass *h, const pack_section *s, unsigned char *to, err *e)
{
    TRY(pass_bytes(h, s->off, NULL, e));
    return pass_bytes(h, s->off + s->len, to, e);
}

/* A record that breaks a rule does not end the pass: if the digest does not match either, the file
 * is damaged, and that is the error to report. */
static err_code pass_records(head_pass *h, const pack_section *tens, err *e)
{
    TRY(pass_bytes(h, tens->off, NULL, e));
    while (h->at < tens->off + tens->len) {
        const uint64_t n = num_min(PIECE, tens->off + tens->len - h->at);
        TRY(pass_bytes(h, h->at + n, NULL, e));
        if (h->broken.code == OK) {
            h->broken.code =
                pack_decode_records(&h->decoder, h->piece, n / PACK_RECORD_BYTES, &h->broken);
        }
    }
    return OK;
}

/* Names come after the records in the file, but are needed to decode them. So they are read first,
 * and what was read then is digested in its turn: reading them again could give other bytes, if
 * somebody changes the file. */
static err_code pass_head(head_pass *h, pack_table *table, err *e)
{
    const pack_file *const p = h->file;
    const pack_section *const tens = pack_find_section(p, TAG_TENS);
    const pack_section *const nidx = pack_find_section(p, TAG_NIDX);
    const pack_section *const strs = pack_find_section(p, TAG_STRS);
    h->strs = memory_large(strs->len);
    if (!h->strs) {
        return err_set(e, ERR_MEMORY, "no memory for %" PRIu64 " bytes of names", strs->len);
    }
    TRY(io_read_at(p->fd, p->path, strs->off, h->strs, strs->len, e));
    h->broken.code = pack_decode_begin(&h->decoder, tens->len, nidx->len, h->strs, strs->len,
                                       &p->superblock, table, &h->broken);
    TRY(pass_records(h, tens, e));
    /* by_name is NULL if the lengths of the sections are wrong and there is no table. */
    TRY(pass_section(h, nidx, (unsigned char *)table->by_name, e));
    TRY(pass_bytes(h, strs->off, NULL, e));
    TRY(digest_add(h->digest, h->strs, strs->len, e));
    h->at += strs->len;
    return pass_bytes(h, p->superblock.data_off, NULL, e);
}

static err_code digest_head(head_pass *h, pack_table *table, err *e)
{
    unsigned char id[XXH3_BYTES];
    TRY(digest_open(DIGEST_XXH3, &h->digest, e));
    TRY(pass_head(h, table, e));
    TRY(digest_finish(h->digest, id, e));
    return memcmp(id, h->file->superblock.plan_id, XXH3_BYTES) == 0
               ? OK
               : err_set(e, ERR_DAMAGED, "head: its digest (plan_id) does not match");
}

/* The directory was checked: all head sections lie within the head. */
static err_code open_table(pack_file *p, err *e)
{
    head_pass h = {
        .file = p, .at = PACK_BLOCK, .piece = malloc(num_min(PIECE, p->superblock.data_off))};
    err_code code = OK;
    TRY_OUT(h.piece ? OK : err_set(e, ERR_MEMORY, "no memory for the head of the file"));
    TRY_OUT(digest_head(&h, &p->table, e));
    TRY_OUT(h.broken.code == OK ? OK : err_set(e, h.broken.code, "%s", h.broken.text));
    TRY_OUT(pack_decode_end(&h.decoder, (const unsigned char *)p->table.by_name, e));
out:
    digest_close(h.digest);
    free(h.strs);
    free(h.piece);
    return code;
}

static err_code open_file(const char *path, int *fd, struct stat *st, err *e)
{
    const err_code code = io_open_read(path, fd, st, e);
    if (code != OK && stat(path, st) == 0 && S_ISDIR(st->st_mode)) {
        err_hint(e, "if it is a checkpoint, octavo convert makes a packed file of it");
    }
    return code;
}

/* A file that is too short for a superblock and a trailer. */
static err_code refuse_short(const pack_file *p, err *e)
{
    bool is_packed = false;
    TRY(begins_packed(p->fd, p->path, p->file_bytes, &is_packed, e));
    return is_packed ? err_set(e, ERR_DAMAGED, "%" PRIu64 " bytes: truncated", p->file_bytes)
                     : err_set(e, ERR_INPUT, "not a packed file: %" PRIu64 " bytes", p->file_bytes);
}

static err_code open_content(pack_file *p, err *e)
{
    TRY(p->file_bytes < 2 * PACK_BLOCK ? refuse_short(p, e) : OK);
    TRY(open_ends(p, e));
    return open_table(p, e);
}

/* The descriptor of a file that is open already shares nothing but the file: reads have offsets. */
static err_code open_copy(const char *name, int open_fd, const file_stamp *opened, pack_file *p,
                          err *e)
{
    struct stat st;
    p->fd = fcntl(open_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (p->fd < 0 || fstat(p->fd, &st) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot read", name);
    }
    p->stamp = opened ? *opened : file_stamp_of(&st);
    return OK;
}

static err_code open_any(const char *path, int open_fd, const file_stamp *opened, pack_file *p,
                         err *e)
{
    struct stat st;
    p->path = strdup(path);
    TRY(p->path ? OK : err_set(e, ERR_MEMORY, "%s: no memory", path));
    if (open_fd >= 0) {
        TRY(open_copy(path, open_fd, opened, p, e));
    } else {
        TRY(open_file(path, &p->fd, &st, e));
        p->stamp = file_stamp_of(&st);
    }
    p->file_bytes = p->stamp.bytes;
    const err_code code = open_content(p, e);
    if (code != OK) {
        err_prefix(code == ERR_IO ? NULL : e, "%s", path); /* those have it already */
        return pack_end(p, NULL, code, e);
    }
    return OK;
}

err_code pack_open_again(const char *name, int open_fd, const file_stamp *opened, pack_file **out,
                         err *e)
{
    pack_file *const p = calloc(1, sizeof *p);
    if (!p) {
        return err_set(e, ERR_MEMORY, "%s: no memory", name);
    }
    p->fd = -1;
    const err_code code = open_any(name, open_fd, opened, p, e);
    if (code != OK) {
        pack_close(p);
        return code;
    }
    *out = p;
    return OK;
}

err_code pack_open(const char *path, pack_file **out, err *e)
{
    return pack_open_again(path, -1, NULL, out, e);
}

void pack_close(pack_file *p)
{
    if (!p) {
        return;
    }
    if (p->fd >= 0) {
        close(p->fd);
    }
    pack_table_free(&p->table);
    free(p->path);
    free(p);
}

/* A directory without this section was refused when the file was opened. */
static err_code load_array(const pack_file *p, uint32_t tag, uint64_t expected,
                           unsigned char **data, err *e)
{
    const pack_section *const s = pack_find_section(p, tag);
    if (s->len != expected) {
        char name[5];
        pack_tag_name(tag, name);
        return err_set(e, ERR_INPUT, "%s: section %s: length, expected %" PRIu64 ", found %" PRIu64,
                       p->path, name, expected, s->len);
    }
    const err_code code = pack_section_load(p->fd, p->path, s, data, e);
    return code == OK ? OK : pack_end(p, NULL, code, e);
}

err_code pack_read_evidence(const pack_file *p, pack_evidence *out, err *e)
{
    const pack_table *const t = &p->table;
    const size_t each = digest_bytes(p->superblock.digest);
    *out = (pack_evidence){.alg = p->superblock.digest};
    err_code code = OK;
    TRY_OUT(load_array(p, TAG_CHNK, t->chunk_count * each, &out->chunks, e));
    TRY_OUT(load_array(p, TAG_TDIG, t->count * each, &out->tensors, e));
    TRY_OUT(load_array(p, TAG_SDIG, t->source_count * XXH3_BYTES, &out->sources, e));
    TRY_OUT(load_array(p, TAG_STAT, t->stat_count * PACK_STAT_BYTES, &out->stats, e));
    return OK;
out:
    pack_evidence_free(out);
    return code;
}
