#include "format/archive/embed_tar.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"

/* ---- names and sizes ------------------------------------------- */

enum { BLOCK = 512, NAME_LIMIT = 100, PREFIX_LIMIT = 155 };

/* The header of a member. Numbers are octal. */
typedef struct tar_header {
    char name[NAME_LIMIT];
    char mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8];
    char type, link[100], magic[6], version[2], user[32], group[32], major[8], minor[8];
    char prefix[PREFIX_LIMIT]; /* the directory of a name that does not fit in `name` */
    char unused[12];
} tar_header;
_Static_assert(sizeof(tar_header) == BLOCK, "a header is one block");

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

/* ---- writing --------------------------------------------------- */

static void put_checksum(tar_header *h)
{
    unsigned sum = 0;
    memset(h->checksum, ' ', sizeof h->checksum);
    for (size_t i = 0; i < BLOCK; i++) {
        sum += ((const unsigned char *)h)[i];
    }
    snprintf(h->checksum, sizeof h->checksum, "%06o", sum); /* NUL; a space is there already */
}

/* The fields are zero so far. */
static void put_name(tar_header *h, const char *name)
{
    const size_t length = strlen(name);
    const char *const slash = length > NAME_LIMIT ? strchr(name, '/') : NULL;
    if (slash) {
        memcpy(h->prefix, name, (size_t)(slash - name));
        memcpy(h->name, slash + 1, strlen(slash + 1));
    } else {
        memcpy(h->name, name, length);
    }
}

static void put_header(tar_header *h, const member *m)
{
    char size[sizeof h->size + 1];
    snprintf(size, sizeof size, "%011zo ", m->bytes); /* at most ARCHIVE_MAX_BYTES */
    *h = (tar_header){.mode = "000644 ",
                      .uid = "000000 ",
                      .gid = "000000 ",
                      .mtime = {"00000000000 "},
                      .type = '0',
                      .magic = "ustar",
                      .version = {'0', '0'},
                      .major = "000000 ",
                      .minor = "000000 "};
    memcpy(h->size, size, sizeof h->size);
    put_name(h, m->name);
    put_checksum(h);
}

/* Write the archive of valid, sorted members to `to`, which is exactly large enough. */
static void write_archive(const member **sorted, size_t count, char *to)
{
    for (size_t i = 0; i < count; i++) {
        const member *const m = sorted[i];
        const size_t rest = (BLOCK - m->bytes % BLOCK) % BLOCK;
        tar_header h;
        put_header(&h, m);
        memcpy(to, &h, BLOCK);
        to += BLOCK;
        if (m->bytes > 0) {
            memcpy(to, m->data, m->bytes);
        }
        memset(to + m->bytes, 0, rest);
        to += m->bytes + rest;
    }
    memset(to, 0, 2 * BLOCK);
}

err_code archive_pack(const member *members, size_t count, char **out, size_t *bytes, err *e)
{
    if (count > ARCHIVE_MAX_MEMBERS) {
        return err_set(e, ERR_INPUT, "%zu embedded files, at most %d are allowed", count,
                       ARCHIVE_MAX_MEMBERS);
    }
    size_t total = 0;
    const member *sorted[ARCHIVE_MAX_MEMBERS];
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &members[i];
    }
    qsort(sorted, count, sizeof *sorted, compare_member);
    TRY(check_names(sorted, count, e));
    TRY(packed_bytes(sorted, count, &total, e));
    char *const buffer = malloc(total);
    if (!buffer) {
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes of embedded files", total);
    }
    write_archive(sorted, count, buffer);
    *out = buffer;
    *bytes = total;
    return OK;
}

/* ---- reading --------------------------------------------------- */

/* Only what is needed to find the members is checked here; comparing with the canonical archive at
 * the end does the rest. */
static err_code refuse(const char *what, err *e)
{
    return err_set(e, ERR_INPUT, "embedded files: %s", what);
}

/* The name in a header: [prefix '/'] name. NULL: no memory. */
static char *join_name(const tar_header *h)
{
    char *name = NULL;
    const int prefix = (int)strnlen(h->prefix, sizeof h->prefix);
    const int rest = (int)strnlen(h->name, sizeof h->name);
    return asprintf(&name, "%.*s%s%.*s", prefix, h->prefix, prefix > 0 ? "/" : "", rest, h->name) <
                   0
               ? NULL
               : name;
}

/* The digits of a size, of which at most ARCHIVE_MAX_BYTES count; false if it is another text. */
static bool read_size(const tar_header *h, size_t *bytes)
{
    *bytes = 0;
    for (size_t i = 0; i + 1 < sizeof h->size; i++) {
        if (h->size[i] < '0' || h->size[i] > '7' || *bytes > ARCHIVE_MAX_BYTES) {
            return false;
        }
        *bytes = 8 * *bytes + (size_t)(h->size[i] - '0');
    }
    return true;
}

/* The member at the beginning of `data`; *used: its bytes there, in whole blocks. */
static err_code read_member(const char *data, size_t bytes, member *m, size_t *used, err *e)
{
    tar_header h;
    uint64_t padded = 0;
    memcpy(&h, data, BLOCK);
    if (memcmp(h.magic, "ustar", sizeof h.magic) != 0 || !read_size(&h, &m->bytes)) {
        return refuse("not a tar archive in the canonical form", e);
    }
    if (!num_align_up(m->bytes, BLOCK, &padded) || padded > bytes - BLOCK) {
        return refuse("a member that is larger than the archive", e);
    }
    m->name = join_name(&h);
    m->data = malloc(m->bytes + 1);
    if (!m->name || !m->data) {
        return err_set(e, ERR_MEMORY, "embedded files: no memory for %zu bytes", m->bytes);
    }
    if (!member_name_valid(m->name)) {
        return refuse("a member whose name is not allowed", e);
    }
    memcpy(m->data, data + BLOCK, m->bytes);
    *used = BLOCK + (size_t)padded;
    return OK;
}

/* Up to the first block that begins with zero. */
static err_code read_members(const char *data, size_t bytes, member *members, size_t *count, err *e)
{
    for (size_t at = 0, used = 0; bytes - at >= BLOCK && data[at] != 0; at += used) {
        if (*count == ARCHIVE_MAX_MEMBERS) {
            return refuse("too many members", e);
        }
        TRY(read_member(data + at, bytes - at, &members[(*count)++], &used, e));
    }
    return OK;
}

static err_code check_canonical(const member *members, size_t count, const char *data, size_t bytes,
                                err *e)
{
    char *again = NULL;
    size_t again_bytes = 0;
    TRY(archive_pack(members, count, &again, &again_bytes, e));
    const bool same = again_bytes == bytes && memcmp(again, data, bytes) == 0;
    free(again);
    return same ? OK : refuse("not in the canonical form", e);
}

err_code archive_unpack(const char *data, size_t bytes, member **members, size_t *count, err *e)
{
    *members = NULL;
    *count = 0;
    err_code code = OK;
    member *list = calloc(ARCHIVE_MAX_MEMBERS, sizeof *list);
    size_t found = 0;
    if (!list) {
        return err_set(e, ERR_MEMORY, "no memory for the embedded files");
    }
    TRY_OUT(read_members(data, bytes, list, &found, e));
    TRY_OUT(check_canonical(list, found, data, bytes, e));
    *members = list;
    *count = found;
    list = NULL;
out:
    members_free(list, found);
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
