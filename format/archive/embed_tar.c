#include "format/archive/embed_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"

enum { BLOCK = 512, NAME_LIMIT = 100 };

/* "." and ".." consist of allowed characters, but are not names of files. */
static bool component_valid(const char *name, size_t bytes)
{
    static const char letters[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";
    const bool dots = name[0] == '.' && (bytes == 1 || (bytes == 2 && name[1] == '.'));
    return bytes > 0 && bytes <= NAME_LIMIT && strspn(name, letters) >= bytes && !dots;
}

bool member_name_valid(const char *name)
{
    const char *const slash = strchr(name, '/');
    return slash ? component_valid(name, (size_t)(slash - name)) &&
                       component_valid(slash + 1, strlen(slash + 1))
                 : component_valid(name, strlen(name));
}

static int compare_member(const void *a, const void *b)
{
    const member *const *x = a;
    const member *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* A block for each header, the data in whole blocks, and two blocks at the end. */
static err_code packed_bytes(const member **sorted, size_t count, size_t *total, err *e)
{
    uint64_t sum = 2 * BLOCK;
    for (size_t i = 0; i < count; i++) {
        uint64_t padded = 0;
        if (!num_align_up(sorted[i]->bytes, BLOCK, &padded) || !num_add(sum, padded, &sum) ||
            !num_add(sum, BLOCK, &sum) || sum > ARCHIVE_MAX_BYTES) {
            return err_set(e, ERR_INPUT, "embedded files: more than %d bytes", ARCHIVE_MAX_BYTES);
        }
    }
    *total = (size_t)sum;
    return OK;
}

/* Is there a member with the name of this one's directory? */
static bool is_in_file(const member **sorted, size_t count, const member *m)
{
    const char *const slash = strchr(m->name, '/');
    char dir[NAME_LIMIT + 1];
    if (!slash) {
        return false;
    }
    memcpy(dir, m->name, (size_t)(slash - m->name));
    dir[slash - m->name] = '\0';
    const member key = {.name = dir};
    const member *const at = &key;
    return bsearch(&at, sorted, count, sizeof *sorted, compare_member) != NULL;
}

static err_code check_names(const member **sorted, size_t count, err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (!member_name_valid(sorted[i]->name)) {
            return err_set(e, ERR_INPUT, "embedded file \"%.210s\": expected " MEMBER_NAME_RULE,
                           sorted[i]->name);
        }
        if (i > 0 && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) {
            return err_set(e, ERR_INPUT, "embedded file %s: duplicate name", sorted[i]->name);
        }
        if (is_in_file(sorted, count, sorted[i])) {
            return err_set(e, ERR_INPUT, "embedded file %s: its directory is a file as well",
                           sorted[i]->name);
        }
    }
    return OK;
}

/* Only memory can be short here: names and sizes were checked, and the buffer has the right size. */
static err_code write_failure(struct archive *a, err *e)
{
    const char *why = archive_error_string(a);
    return err_set(e, archive_errno(a) == ENOMEM ? ERR_MEMORY : ERR_INTERNAL,
                   "cannot write the archive of embedded files: %s", why ? why : "unknown reason");
}

static err_code write_member(struct archive *a, struct archive_entry *entry, const member *m,
                             err *e)
{
    archive_entry_clear(entry);
    archive_entry_set_pathname(entry, m->name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_size(entry, (la_int64_t)m->bytes);
    if (archive_write_header(a, entry) != ARCHIVE_OK ||
        archive_write_data(a, m->data, m->bytes) != (la_ssize_t)m->bytes) {
        return write_failure(a, e);
    }
    return OK;
}

/* Write the archive of valid, sorted members to `to`, which is exactly large enough. */
static err_code write_archive(const member **sorted, size_t count, char *to, size_t bytes, err *e)
{
    err_code code = OK;
    size_t used = 0;
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    if (!a || !entry) {
        code = err_set(e, ERR_MEMORY, "no memory for the archive of embedded files");
        goto out;
    }
    if (archive_write_set_format_ustar(a) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK ||
        archive_write_open_memory(a, to, bytes, &used) != ARCHIVE_OK) {
        code = write_failure(a, e);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        TRY_OUT(write_member(a, entry, sorted[i], e));
    }
    if (archive_write_close(a) != ARCHIVE_OK || used != bytes) {
        code = write_failure(a, e);
    }
out:
    archive_entry_free(entry);
    archive_write_free(a);
    return code;
}

err_code archive_pack(const member *members, size_t count, char **out, size_t *bytes, err *e)
{
    if (count > ARCHIVE_MAX_MEMBERS) {
        return err_set(e, ERR_INPUT, "%zu embedded files, at most %d are allowed", count,
                       ARCHIVE_MAX_MEMBERS);
    }
    err_code code = OK;
    size_t total = 0;
    const member *sorted[ARCHIVE_MAX_MEMBERS];
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &members[i];
    }
    qsort(sorted, count, sizeof *sorted, compare_member);
    TRY(check_names(sorted, count, e));
    TRY(packed_bytes(sorted, count, &total, e));
    char *buffer = malloc(total);
    if (!buffer) {
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes of embedded files", total);
    }
    TRY_OUT(write_archive(sorted, count, buffer, total, e));
    *out = buffer;
    *bytes = total;
    buffer = NULL;
out:
    free(buffer);
    return code;
}

/* Libarchive accepts far more as tar than the format allows. Only what is needed to name and hold
 * the members is checked here; comparing with the canonical archive at the end does the rest. */
static err_code read_failure(const char *what, err *e)
{
    return err_set(e, ERR_INPUT, "embedded files: %s", what ? what : "not a tar archive");
}

static err_code read_member(struct archive *a, struct archive_entry *entry, size_t limit, member *m,
                            err *e)
{
    const char *name = archive_entry_pathname(entry);
    const la_int64_t size = archive_entry_size(entry);
    if (!name || !member_name_valid(name) || archive_entry_filetype(entry) != AE_IFREG) {
        return read_failure("a member that is not a regular file with an allowed name", e);
    }
    if (size < 0 || (uint64_t)size > limit) {
        return read_failure("a member that is larger than the archive", e);
    }
    m->name = strdup(name);
    m->bytes = (size_t)size;
    m->data = malloc(m->bytes + 1);
    if (!m->name || !m->data) {
        return err_set(e, ERR_MEMORY, "embedded file %s: no memory for %zu bytes", name, m->bytes);
    }
    if (archive_read_data(a, m->data, m->bytes) != (la_ssize_t)m->bytes) {
        return read_failure(archive_error_string(a), e);
    }
    return OK;
}

static err_code read_members(struct archive *a, size_t limit, member *members, size_t *count,
                             err *e)
{
    for (;;) {
        struct archive_entry *entry = NULL;
        const int status = archive_read_next_header(a, &entry);
        if (status == ARCHIVE_EOF) {
            return OK;
        }
        if (status != ARCHIVE_OK) {
            return read_failure(archive_error_string(a), e);
        }
        if (*count == ARCHIVE_MAX_MEMBERS) {
            return read_failure("too many members", e);
        }
        TRY(read_member(a, entry, limit, &members[(*count)++], e));
    }
}

static err_code check_canonical(const member *members, size_t count, const char *data, size_t bytes,
                                err *e)
{
    char *again = NULL;
    size_t again_bytes = 0;
    TRY(archive_pack(members, count, &again, &again_bytes, e));
    const bool same = again_bytes == bytes && memcmp(again, data, bytes) == 0;
    free(again);
    return same ? OK : read_failure("not in the canonical form", e);
}

err_code archive_unpack(const char *data, size_t bytes, member **members, size_t *count, err *e)
{
    *members = NULL;
    *count = 0;
    err_code code = OK;
    struct archive *a = archive_read_new();
    member *list = calloc(ARCHIVE_MAX_MEMBERS, sizeof *list);
    size_t found = 0;
    if (!a || !list) {
        code = err_set(e, ERR_MEMORY, "no memory for the embedded files");
        goto out;
    }
    if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_open_memory(a, data, bytes) != ARCHIVE_OK) {
        code = read_failure(archive_error_string(a), e);
        goto out;
    }
    TRY_OUT(read_members(a, bytes, list, &found, e));
    TRY_OUT(check_canonical(list, found, data, bytes, e));
    *members = list;
    *count = found;
    list = NULL;
out:
    members_free(list, found);
    archive_read_free(a);
    return code;
}

void members_free(member *members, size_t count)
{
    for (size_t i = 0; members && i < count; i++) {
        free(members[i].name);
        free(members[i].data);
    }
    free(members);
}
