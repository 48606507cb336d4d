#include "format/safetensors/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/file/file_kind.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/safetensors/safetensors_member.h"
#include "format/safetensors/safetensors_scan.h"

enum { LENGTH_BYTES = 8 };

/* What to do with a file of a checkpoint that does not hold what its header says. */
static err_code hint_fetch(const char *path, err *e)
{
    const char *const dot = strrchr(path, '.');
    if (dot && strcmp(dot, ".safetensors") == 0) {
        err_hint(e, "fetch the file again");
    }
    return ERR_INPUT;
}

/* The header under construction: its arrays have the sizes that the scan counted. */
typedef struct builder {
    st_header h;
    size_t names_used;
    bool metadata_seen;
} builder;

static err_code add_tensor(builder *b, st_slice text, size_t name_bytes, err *e)
{
    const char *name = b->h.names + b->names_used;
    TRY(st_member_check_name(name, name_bytes, e));
    st_tensor *t = &b->h.tensors[b->h.count++];
    t->name = name;
    b->names_used += name_bytes + 1;
    const err_code code = st_member_tensor(text, t, e);
    if (code != OK) {
        err_prefix(e, "tensor %s", name);
    }
    return code;
}

static err_code add_member(builder *b, const st_member *m, err *e)
{
    char *name = b->h.names + b->names_used;
    size_t bytes = 0;
    TRY(st_member_key(m->key, name, &bytes, e));
    if (!st_member_is_metadata(name, bytes)) {
        return add_tensor(b, m->value, bytes, e);
    }
    if (b->metadata_seen) {
        return err_set(e, ERR_INPUT, "duplicate %s in the header", name);
    }
    b->metadata_seen = true;
    return st_member_metadata(m->value, e);
}

static err_code add_members(builder *b, const char *path, const char *text, size_t bytes,
                            const monitor *m, err *e)
{
    st_scan s = {.path = path, .text = text, .bytes = bytes};
    for (;;) {
        st_member next;
        bool more = false;
        TRY(monitor_step(m, b->h.count, e));
        TRY(st_scan_next(&s, &next, &more, e));
        if (!more) {
            return OK;
        }
        const err_code code = add_member(b, &next, e);
        if (code != OK) {
            err_prefix(e, "%s", path);
            return code;
        }
    }
}

static int compare_range(const void *a, const void *b)
{
    const st_tensor *x = a;
    const st_tensor *y = b;
    if (x->off != y->off) {
        return x->off < y->off ? -1 : 1;
    }
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static int compare_name(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static err_code check_unique(const st_header *h, const char *path, err *e)
{
    const char **names = calloc(h->count + 1, sizeof *names);
    if (!names) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu names", path, h->count);
    }
    for (size_t i = 0; i < h->count; i++) {
        names[i] = h->tensors[i].name;
    }
    qsort(names, h->count, sizeof *names, compare_name);
    err_code code = OK;
    for (size_t i = 1; i < h->count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            code = err_set(e, ERR_INPUT, "%s: tensor %s: duplicate name in the header", path,
                           names[i]);
            break;
        }
    }
    free(names);
    return code;
}

/* The tensors are sorted by range: each must start where the one before it ends. No end can wrap
 * around, since offset and end were both read as numbers below 2^63. */
static err_code check_tiling(const st_header *h, const char *path, uint64_t data_bytes, err *e)
{
    uint64_t cursor = 0;
    for (size_t i = 0; i < h->count; i++) {
        const st_tensor *t = &h->tensors[i];
        if (t->off != cursor) {
            return err_set(
                e, ERR_INPUT, "%s: tensor %s: %s, expected data offset %" PRIu64 ", found %" PRIu64,
                path, t->name, t->off < cursor ? "overlaps the one before it" : "gap before it",
                cursor, t->off);
        }
        cursor += t->bytes;
        if (cursor > data_bytes) {
            err_set(e, ERR_INPUT,
                    "%s: tensor %s: truncated: it ends at byte %" PRIu64
                    " of the data, but the file has %" PRIu64,
                    path, t->name, cursor, data_bytes);
            return hint_fetch(path, e);
        }
    }
    if (cursor != data_bytes) {
        return err_set(e, ERR_INPUT, "%s: %" PRIu64 " trailing bytes after the last tensor%s%s",
                       path, data_bytes - cursor, h->count ? " " : "",
                       h->count ? h->tensors[h->count - 1].name : "");
    }
    return OK;
}

static err_code build(builder *b, const char *path, const char *text, size_t bytes,
                      const monitor *m, err *e)
{
    size_t members = 0;
    size_t key_bytes = 0;
    TRY(st_scan_all(path, text, bytes, &members, &key_bytes, e));
    b->h.tensors = calloc(members + 1, sizeof *b->h.tensors);
    b->h.names = malloc(key_bytes + 1);
    if (!b->h.tensors || !b->h.names) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu tensors", path, members);
    }
    return add_members(b, path, text, bytes, m, e);
}

err_code st_header_parse(const char *path, const char *text, size_t text_bytes, uint64_t file_bytes,
                         const monitor *m, st_header *out, err *e)
{
    builder b = {.h = {.header_bytes = LENGTH_BYTES + (uint64_t)text_bytes}};
    st_header *const h = &b.h;
    *out = (st_header){0};
    if (file_bytes < h->header_bytes) {
        return err_set(e, ERR_INPUT,
                       "%s: truncated: %" PRIu64 " bytes, but its header alone has %" PRIu64, path,
                       file_bytes, h->header_bytes);
    }
    err_code code = OK;
    TRY_OUT(build(&b, path, text, text_bytes, m, e));
    TRY_OUT(check_unique(h, path, e));
    TRY_OUT(monitor_step(m, 0, e));
    qsort(h->tensors, h->count, sizeof *h->tensors, compare_range);
    TRY_OUT(check_tiling(h, path, file_bytes - h->header_bytes, e));
    for (size_t i = 0; i < h->count; i++) {
        h->tensors[i].off += h->header_bytes;
    }
    *out = *h;
    *h = (st_header){0};
out:
    st_header_free(h);
    return code;
}

/* A length that cannot be right usually means that the file is not safetensors at all. A user who
 * names a JSON file of a checkpoint means the checkpoint. */
static err_code refuse_kind(const char *path, const file_kind *kind, err *e)
{
    const char *const dot = strrchr(path, '.');
    err_set(e, ERR_INPUT, "%s: %s, not %s", path, kind->name, kind->wanted);
    if (kind->hint) {
        err_hint(e, "%s", kind->hint);
    } else if (dot && strcmp(dot, ".json") == 0) {
        err_hint(e, "name the directory of the checkpoint");
    }
    return ERR_INPUT;
}

static err_code refuse_length(const char *path, uint64_t value, err *e)
{
    return err_set(e, ERR_INPUT,
                   "%s: not a safetensors file, or its header has %" PRIu64
                   " bytes (at most %d are allowed)",
                   path, value, ST_MAX_HEADER_BYTES);
}

/* Zeros are the length of a header, too: that of an empty one, which cannot be. */
static err_code read_length(int fd, const char *path, uint64_t base, uint64_t file_bytes,
                            size_t *length, err *e)
{
    unsigned char raw[FILE_KIND_BYTES] = {0};
    const size_t shown = (size_t)num_min(file_bytes, sizeof raw);
    if (file_bytes < LENGTH_BYTES) {
        err_set(e, ERR_INPUT, "%s: not a safetensors file: %" PRIu64 " bytes, expected at least 8",
                path, file_bytes);
        return hint_fetch(path, e);
    }
    TRY(io_read_at(fd, path, base, raw, shown, e));
    const uint64_t value = le64_load(raw);
    if (value > ST_MAX_HEADER_BYTES || value == 0) {
        const file_kind *const kind = file_kind_find(raw, shown);
        return kind ? refuse_kind(path, kind, e) : refuse_length(path, value, e);
    }
    if (value > file_bytes - LENGTH_BYTES) {
        err_set(e, ERR_INPUT, "%s: truncated: %" PRIu64 " bytes, but its header alone has %" PRIu64,
                path, file_bytes, LENGTH_BYTES + value);
        return hint_fetch(path, e);
    }
    *length = (size_t)value;
    return OK;
}

err_code st_header_read(int fd, const char *path, uint64_t file_bytes, const monitor *m,
                        st_header *out, err *e)
{
    return st_header_read_at(fd, path, 0, file_bytes, m, out, e);
}

err_code st_header_read_at(int fd, const char *path, uint64_t base, uint64_t file_bytes,
                           const monitor *m, st_header *out, err *e)
{
    size_t length = 0;
    *out = (st_header){0};
    TRY(read_length(fd, path, base, file_bytes, &length, e));
    err_code code = OK;
    char *bytes = malloc(LENGTH_BYTES + length);
    if (!bytes) {
        return err_set(e, ERR_MEMORY, "%s: no memory for a header of %zu bytes", path, length);
    }
    TRY_OUT(io_read_at(fd, path, base, bytes, LENGTH_BYTES + length, e));
    /* This read gives length and text together: the length must still be the one that was checked. */
    if (le64_load((const unsigned char *)bytes) != length) {
        code = err_set(e, ERR_IO, "%s: changed while it was read", path);
        goto out;
    }
    TRY_OUT(st_header_parse(path, bytes + LENGTH_BYTES, length, file_bytes, m, out, e));
    TRY_OUT(digest_sha256(bytes, LENGTH_BYTES + length, out->sha256, e));
out:
    if (code != OK) {
        st_header_free(out);
    }
    free(bytes);
    return code;
}

void st_header_free(st_header *h)
{
    if (h) {
        free(h->tensors);
        free(h->names);
        *h = (st_header){0};
    }
}
