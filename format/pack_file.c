#include "format/pack_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/archive.h"
#include "format/io.h"
#include "format/json.h"
#include "format/memory.h"
#include "format/num.h"

/* Four bytes that no text begins with: the rest of the magic is what a bad transfer changes. */
static bool begins_packed(int fd, const char *path)
{
    unsigned char start[4];
    return io_read_at(fd, path, 0, start, sizeof start, NULL) == OK &&
           memcmp(start, pack_superblock_magic, sizeof start) == 0;
}

bool pack_is_packed(const char *path)
{
    int fd = -1;
    if (io_open_read(path, &fd, NULL, NULL) != OK) {
        return false;
    }
    const bool packed = begins_packed(fd, path);
    close(fd);
    return packed;
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
    pack_root(superblock, trailer, root);
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
    err_code code = io_read_at(fd, path, s->off, buffer, s->len, e);
    unsigned char sha[SHA256_BYTES];
    if (code == OK) {
        digest_sha256(buffer, s->len, sha);
        if (memcmp(sha, s->sha256, SHA256_BYTES) != 0) {
            code =
                err_set(e, ERR_DAMAGED,
                        "section %s: its digest does not match (offset %" PRIu64 ")", name, s->off);
        }
    }
    if (code != OK) {
        free(buffer);
        return code;
    }
    buffer[s->len] = '\0';
    *data = buffer;
    return OK;
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
        return err_set(e, ERR_INTERNAL, "%s: section asked for that is not there", p->path);
    }
    *bytes = s->len;
    return pack_section_load(p->fd, p->path, s, data, e);
}

err_code pack_read_members(const pack_file *p, member **members, size_t *count, err *e)
{
    unsigned char *data = NULL;
    uint64_t bytes = 0;
    *members = NULL;
    *count = 0;
    err_code code = pack_read_section(p, TAG_FILE, &data, &bytes, e);
    if (code == OK) {
        code = archive_unpack((const char *)data, bytes, members, count, e);
    }
    if (code == ERR_DAMAGED || code == ERR_INPUT) {
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
    err_code code = pack_read_members(p, &members, &count, e);
    for (size_t i = 0; i < count && code == OK; i++) {
        if (strcmp(members[i].name, name) == 0) {
            code = copy_member(p, &members[i], data, bytes, e);
        }
    }
    members_free(members, count);
    return code;
}

/* The blocks at both ends, their agreement, and the directory. */
static err_code open_ends(pack_file *p, err *e)
{
    unsigned char front[PACK_BLOCK];
    unsigned char back[PACK_BLOCK];
    err_code code = io_read_at(p->fd, p->path, 0, front, sizeof front, e);
    if (code == OK) {
        code = pack_superblock_decode(front, &p->superblock, e);
    }
    if (code == OK && p->file_bytes % PACK_BLOCK != 0) {
        code = err_set(e, ERR_DAMAGED, "%" PRIu64 " bytes are no multiple of 4096: truncated",
                       p->file_bytes);
    }
    if (code == OK) {
        code = io_read_at(p->fd, p->path, p->file_bytes - PACK_BLOCK, back, sizeof back, e);
    }
    if (code == OK) {
        code = pack_trailer_decode(back, &p->trailer, e);
    }
    if (code == OK) {
        code = pack_copies_check(front, &p->superblock, back, &p->trailer, p->file_bytes, e);
    }
    uint64_t expected = 0;
    if (code == OK) {
        code =
            pack_directory_check(p->trailer.dir, p->superblock.head_sections, p->trailer.sections,
                                 p->superblock.data_off, p->superblock.data_end, &expected, e);
    }
    if (code == OK && expected != p->file_bytes) {
        code = err_set(e, ERR_INPUT, "the sections end at %" PRIu64 ", the file at %" PRIu64,
                       expected, p->file_bytes);
    }
    return code;
}

/* Read bytes of the file and digest each piece while it is in the cache. */
static err_code read_and_digest(const pack_file *p, uint64_t off, unsigned char *to, uint64_t bytes,
                                unsigned char digest[XXH3_BYTES], err *e)
{
    enum { PIECE = 256 << 10 };
    xxh3_stream *const stream = xxh3_start();
    if (!stream) {
        return err_set(e, ERR_MEMORY, "no memory for a digest");
    }
    err_code code = OK;
    for (uint64_t done = 0; done < bytes && code == OK; done += PIECE) {
        const uint64_t n = num_min(PIECE, bytes - done);
        code = io_read_at(p->fd, p->path, off + done, to + done, n, e);
        if (code == OK) {
            xxh3_add(stream, to + done, n);
        }
    }
    xxh3_finish(stream, digest);
    return code;
}

/* Read [4096, data_off), all head sections at once, and check it against plan_id. *head: free(). */
static err_code read_head(const pack_file *p, unsigned char **head, err *e)
{
    const uint64_t bytes = p->superblock.data_off - PACK_BLOCK;
    unsigned char id[XXH3_BYTES];
    *head = memory_large(bytes);
    if (!*head) {
        return err_set(e, ERR_MEMORY, "no memory for the head of the file");
    }
    const err_code code = read_and_digest(p, PACK_BLOCK, *head, bytes, id, e);
    if (code == OK && memcmp(id, p->superblock.plan_id, XXH3_BYTES) != 0) {
        return err_set(e, ERR_DAMAGED, "head: its digest (plan_id) does not match");
    }
    return code;
}

/* The directory was checked: all head sections lie within the head. */
static err_code open_table(pack_file *p, err *e)
{
    static const pack_tag tags[3] = {TAG_TENS, TAG_NIDX, TAG_STRS};
    const unsigned char *data[3];
    uint64_t bytes[3];
    unsigned char *head = NULL;
    err_code code = read_head(p, &head, e);
    if (code == OK) {
        for (int i = 0; i < 3; i++) {
            const pack_section *const s = pack_find_section(p, (uint32_t)tags[i]);
            data[i] = head + (s->off - PACK_BLOCK);
            bytes[i] = s->len;
        }
        code = pack_table_decode(data[0], bytes[0], data[1], bytes[1], data[2], bytes[2],
                                 &p->superblock, &p->table, e);
    }
    free(head);
    return code;
}

err_code pack_open(const char *path, pack_file **out, err *e)
{
    struct stat st;
    pack_file *const p = calloc(1, sizeof *p);
    if (!p) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    p->fd = -1;
    p->path = strdup(path);
    err_code code = p->path ? OK : err_set(e, ERR_MEMORY, "%s: no memory", path);
    if (code == OK) {
        code = io_open_read(path, &p->fd, &st, e);
    }
    if (code != OK) {
        pack_close(p);
        return code;
    }
    p->file_bytes = (uint64_t)st.st_size;
    if (p->file_bytes < 2 * PACK_BLOCK) {
        const bool begun = begins_packed(p->fd, path);
        code =
            err_set(e, begun ? ERR_DAMAGED : ERR_INPUT,
                    begun ? "%" PRIu64 " bytes: truncated" : "not a packed file: %" PRIu64 " bytes",
                    p->file_bytes);
    }
    if (code == OK) {
        code = open_ends(p, e);
    }
    if (code == OK) {
        code = open_table(p, e);
    }
    if (code != OK) {
        err_prefix(e, "%s", path);
        pack_close(p);
        return code;
    }
    *out = p;
    return OK;
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

static err_code load_array(const pack_file *p, uint32_t tag, uint64_t expected,
                           unsigned char **data, err *e)
{
    const pack_section *const s = pack_find_section(p, tag);
    if (!s || s->len != expected) {
        char name[5];
        pack_tag_name(tag, name);
        return err_set(e, ERR_INPUT, "%s: section %s: length, expected %" PRIu64 ", found %" PRIu64,
                       p->path, name, expected, s ? s->len : 0);
    }
    return pack_section_load(p->fd, p->path, s, data, e);
}

err_code pack_read_evidence(const pack_file *p, pack_evidence *out, err *e)
{
    const pack_table *const t = &p->table;
    const size_t each = digest_bytes(p->superblock.digest);
    *out = (pack_evidence){.alg = p->superblock.digest};
    err_code code = load_array(p, TAG_CHNK, t->chunk_count * each, &out->chunks, e);
    if (code == OK) {
        code = load_array(p, TAG_TDIG, t->count * each, &out->tensors, e);
    }
    if (code == OK) {
        code = load_array(p, TAG_SDIG, t->source_count * XXH3_BYTES, &out->sources, e);
    }
    if (code == OK) {
        code = load_array(p, TAG_STAT, t->stat_count * PACK_STAT_BYTES, &out->stats, e);
    }
    if (code != OK) {
        pack_evidence_free(out);
    }
    return code;
}
