/* Libarchive finds the members. It does not report where their bytes begin in the archive: that is
 * its position just after it has read the member's header, and the bytes there are compared with
 * those that it returns. */
#include "format/archive/archive_scan.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/archive/archive_memory.h"
#include "format/archive/archive_name.h"
#include "format/file/direct.h"
#include "format/archive/decompress.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/file/temp_file.h"

enum {
    MEMBERS_MAX = 100000,
    NAME_BYTES_MAX = 4096,
    NAMES_BYTES_MAX = 32 << 20, /* of all members together */
    IN_BYTES = 64 << 10,
    COMPARED_BYTES = 4096, /* of each member that is read in place */
    TAR_BLOCK = 512,
    TAR_CHECKSUM_OFF = 148,
    TAR_CHECKSUM_BYTES = 8,
    TAR_MAGIC_OFF = 257,
};

static const uint64_t other_limit = 64 * MIB; /* embed.c accepts no larger file */

typedef struct scan {
    archive_index *index;
    int fd;
    archive_form form;
    const monitor *m;
    uint64_t at, file_bytes; /* position and size, if the archive is read directly */
    decompressor *in;        /* if it is compressed */
    struct archive *a;
    int *temp_file;
    uint64_t temp_file_end;
    size_t capacity;   /* of index->members */
    size_t name_bytes; /* of all members, and of the targets of links */
    err failure;       /* of a read callback: reported when libarchive returns */
    unsigned char buffer[IN_BYTES];
} scan;

/* ---- recognizing ----------------------------------------------- */

/* A tar from before the standards has no magic, but its header has a checksum in octal: the sum of
 * its bytes, those of the checksum counted as spaces. */
static bool is_old_tar(const unsigned char *start)
{
    const unsigned char *const field = start + TAR_CHECKSUM_OFF;
    unsigned sum = TAR_CHECKSUM_BYTES * ' ';
    unsigned written = 0;
    size_t i = 0;
    while (i < TAR_CHECKSUM_BYTES && field[i] == ' ') {
        i++;
    }
    for (; i < TAR_CHECKSUM_BYTES && field[i] >= '0' && field[i] <= '7'; i++) {
        written = 8 * written + field[i] - '0';
    }
    for (size_t k = 0; k < TAR_BLOCK; k++) {
        const bool counted = k - TAR_CHECKSUM_OFF >= TAR_CHECKSUM_BYTES; /* wraps below the field */
        sum += counted ? start[k] : 0;
    }
    return start[0] != 0 && sum == written;
}

/* A safetensors file begins with the length of its header, which may look like any magic, followed
 * by JSON. */
static bool is_safetensors(const unsigned char *start)
{
    return start[4] == 0 && start[5] == 0 && start[6] == 0 && start[7] == 0 && start[8] != 0 &&
           strchr("{ \t\r\n", start[8]);
}

archive_form archive_form_of(const unsigned char *start)
{
    if (is_safetensors(start)) {
        return FORM_NONE;
    }
    if (memcmp(start, "PK\3\4", 4) == 0 || memcmp(start, "PK\5\6", 4) == 0) {
        return FORM_ZIP;
    }
    if (decompressor_recognizes(start)) {
        return FORM_COMPRESSED;
    }
    return memcmp(start + TAR_MAGIC_OFF, "ustar", 5) == 0 || is_old_tar(start) ? FORM_TAR
                                                                               : FORM_NONE;
}

bool archive_wants(const char *name, uint64_t bytes)
{
    static const char suffix[] = ".safetensors";
    const size_t length = strlen(name);
    const char *slash = strchr(name, '/');
    if (length >= sizeof suffix - 1 && strcmp(name + length - (sizeof suffix - 1), suffix) == 0) {
        return true;
    }
    slash = slash ? strchr(slash + 1, '/') : NULL;
    return bytes <= other_limit && (!slash || !strchr(slash + 1, '/'));
}

/* ---- reading --------------------------------------------------- */

static la_ssize_t read_failed(scan *s)
{
    archive_set_error(s->a, EIO, "%s", s->failure.text);
    return -1;
}

static la_ssize_t read_compressed(struct archive *a, void *ctx, const void **piece)
{
    scan *const s = ctx;
    const unsigned char *from = NULL;
    size_t bytes = 0;
    (void)a;
    if (decompressor_read(s->in, &from, &bytes, &s->failure) != OK) {
        return read_failed(s);
    }
    *piece = from;
    return (la_ssize_t)bytes;
}

static la_ssize_t read_plain(struct archive *a, void *ctx, const void **piece)
{
    scan *const s = ctx;
    const size_t wanted = num_min(IN_BYTES, s->file_bytes - s->at);
    (void)a;
    *piece = s->buffer;
    if (monitor_cancelled(s->m)) {
        err_set(&s->failure, ERR_CANCELLED, "interrupted");
        return read_failed(s);
    }
    if (io_read_at(s->fd, s->index->path, s->at, s->buffer, wanted, &s->failure) != OK) {
        return read_failed(s);
    }
    s->at += wanted;
    return (la_ssize_t)wanted;
}

static la_int64_t skip_plain(struct archive *a, void *ctx, la_int64_t bytes)
{
    scan *const s = ctx;
    (void)a;
    const uint64_t skipped = num_min(bytes > 0 ? (uint64_t)bytes : 0, s->file_bytes - s->at);
    s->at += skipped;
    return (la_int64_t)skipped;
}

static la_int64_t seek_plain(struct archive *a, void *ctx, la_int64_t off, int whence)
{
    scan *const s = ctx;
    const int64_t from = whence == SEEK_SET   ? 0
                         : whence == SEEK_CUR ? (int64_t)s->at
                                              : (int64_t)s->file_bytes;
    int64_t to = 0;
    (void)a;
    if (__builtin_add_overflow(from, off, &to) || to < 0 || (uint64_t)to > s->file_bytes) {
        return ARCHIVE_FATAL;
    }
    s->at = (uint64_t)to;
    return to;
}

static err_code refuse(scan *s, const char *why, err *e)
{
    if (s->failure.code != OK) {
        err_set(e, s->failure.code, "%s", s->failure.text);
        err_hint(e, "%s", s->failure.hint);
        return s->failure.code;
    }
    TRY(archive_memory_check(s->index->path, s->a, e));
    if (s->index->count == 0 && s->form != FORM_TAR) {
        why = s->form == FORM_ZIP ? "truncated or damaged: the zip directory at its end is missing"
                                  : "the compressed data is not a tar archive";
    }
    return err_set(e, ERR_INPUT, "%s: %s", s->index->path, why ? why : "damaged or unsupported");
}

static err_code open_archive(scan *s, err *e)
{
    s->a = archive_read_new();
    if (!s->a) {
        return err_set(e, ERR_MEMORY, "%s: no memory", s->index->path);
    }
    int status = s->form == FORM_ZIP ? archive_read_support_format_zip_seekable(s->a)
                                     : archive_read_support_format_tar(s->a);
    if (status == ARCHIVE_OK && s->form == FORM_COMPRESSED) {
        status = archive_read_open(s->a, s, NULL, read_compressed, NULL);
    } else if (status == ARCHIVE_OK) {
        archive_read_set_seek_callback(s->a, seek_plain);
        status = archive_read_open2(s->a, s, NULL, read_plain, skip_plain, NULL);
    }
    return status == ARCHIVE_OK ? OK : refuse(s, archive_error_string(s->a), e);
}

/* ---- members --------------------------------------------------- */

static err_code refuse_member(const scan *s, const char *name, const char *what, err *e)
{
    return err_set(e, ERR_INPUT, "%s: %s: %s", s->index->path, name, what);
}

/* The member's bytes begin at libarchive's position; they must be those that it returns. */
static err_code place_member(scan *s, archive_member *m, err *e)
{
    const la_int64_t at = archive_filter_bytes(s->a, 0);
    unsigned char shown[COMPARED_BYTES];
    unsigned char found[COMPARED_BYTES];
    const size_t bytes = num_min(m->bytes, COMPARED_BYTES);
    uint64_t end = 0;
    m->base = at > 0 ? (uint64_t)at : 0;
    if (!num_add(m->base, m->bytes, &end) || end > s->file_bytes) {
        return refuse_member(s, m->name, "truncated: the archive ends before its last byte", e);
    }
    if (archive_read_data(s->a, shown, bytes) != (la_ssize_t)bytes) {
        return refuse(s, archive_error_string(s->a), e);
    }
    TRY(io_read_at(s->fd, s->index->path, m->base, found, bytes, e));
    return memcmp(shown, found, bytes) == 0
               ? OK
               : refuse_member(s, m->name, "its bytes do not follow its header", e);
}

static err_code write_spill(scan *s, uint64_t off, const void *data, size_t bytes, err *e)
{
    const err_code code = io_write_at(*s->temp_file, "temporary file", off, data, bytes, e);
    if (code != OK) {
        err_prefix(e, "%s", s->index->path);
        err_hint(e, "archives are unpacked to the directory TMPDIR");
    }
    return code;
}

/* Write the data of a member to the temporary file from m->base on; never more than m->bytes. */
static err_code unpack_data(scan *s, const archive_member *m, err *e)
{
    for (uint64_t done = 0;;) {
        const void *piece = NULL;
        size_t bytes = 0;
        la_int64_t off = 0;
        const int status = archive_read_data_block(s->a, &piece, &bytes, &off);
        if (status == ARCHIVE_EOF && done != m->bytes) {
            return refuse_member(s, m->name, "truncated: it has fewer bytes than its header says",
                                 e);
        }
        if (status == ARCHIVE_EOF) {
            return OK;
        }
        if (status != ARCHIVE_OK) {
            return refuse(s, archive_error_string(s->a), e);
        }
        if (monitor_cancelled(s->m)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        if (off < 0 || (uint64_t)off != done || bytes > m->bytes - done) {
            return refuse_member(s, m->name, "has more or other bytes than its header says", e);
        }
        TRY(write_spill(s, m->base + done, piece, bytes, e));
        done += bytes;
    }
}

/* Unpack a member to the end of the temporary file, aligned for direct reading. */
static err_code spill_member(scan *s, archive_member *m, err *e)
{
    const uint64_t limit = decompressor_limit(s->file_bytes);
    if (m->bytes > limit || s->temp_file_end > limit - m->bytes) {
        return decompressor_refuse(s->index->path, s->file_bytes,
                                   e); /* members of a zip may overlap */
    }
    if (*s->temp_file < 0) {
        TRY(temp_file_open(s->temp_file, e));
    }
    m->base = num_ceil_div(s->temp_file_end, DIRECT_ALIGN) * DIRECT_ALIGN;
    m->unpacked = true;
    TRY(unpack_data(s, m, e));
    s->temp_file_end = m->base + m->bytes;
    return OK;
}

/* Are the bytes of this member in the archive as they are? For a zip, only the name that libarchive
 * gives to the format says so. */
static bool is_stored(const scan *s)
{
    const char *const name = archive_format_name(s->a);
    return s->form == FORM_TAR ||
           (s->form == FORM_ZIP && name && strstr(name, "(uncompressed)") != NULL);
}

static err_code take_file(scan *s, struct archive_entry *entry, archive_member *m, err *e)
{
    const la_int64_t size = archive_entry_size(entry);
    if (!archive_entry_size_is_set(entry) || size < 0) {
        return refuse_member(s, m->name, "its header does not give its size", e);
    }
    m->bytes = (uint64_t)size;
    const bool wanted = archive_wants(m->name, m->bytes);
    m->lack = archive_entry_is_encrypted(entry)       ? "encrypted"
              : archive_entry_sparse_count(entry) > 0 ? "stored with holes (sparse)"
              : !wanted && !is_stored(s) ? "larger than 64 MiB and not weights: not unpacked"
                                         : NULL;
    if (m->lack) {
        return wanted ? refuse_member(s, m->name, m->lack, e) : OK;
    }
    return is_stored(s) ? place_member(s, m, e) : spill_member(s, m, e);
}

/* Names and targets of links may be long, and compress to nothing. `name` may be NULL. */
static err_code count_name(scan *s, const char *name, err *e)
{
    s->name_bytes += name ? strlen(name) + 1 : 0;
    return s->name_bytes <= NAMES_BYTES_MAX ? OK
                                            : err_set(e, ERR_INPUT, "%s: more than %d MiB of names",
                                                      s->index->path, NAMES_BYTES_MAX >> 20);
}

static err_code take_link(scan *s, const char *hard, const char *symbolic, archive_member *m,
                          err *e)
{
    bool no_memory = false;
    m->kind = ARCHIVE_LINK;
    m->target = hard ? archive_clean_name(hard, &no_memory)
                     : archive_link_target(m->name, symbolic, &no_memory);
    TRY(no_memory ? err_set(e, ERR_MEMORY, "%s: no memory", s->index->path) : OK);
    return count_name(s, m->target, e);
}

static archive_member *add_member(scan *s, char *name)
{
    archive_index *const index = s->index;
    if (index->count == s->capacity) {
        const size_t capacity = s->capacity ? 2 * s->capacity : 64;
        archive_member *const grown = reallocarray(index->members, capacity, sizeof *grown);
        if (!grown) {
            return NULL;
        }
        index->members = grown;
        s->capacity = capacity;
    }
    index->members[index->count] = (archive_member){.name = name};
    return &index->members[index->count++];
}

static err_code take_name(scan *s, struct archive_entry *entry, archive_member **m, err *e)
{
    const char *path = archive_entry_pathname(entry);
    bool no_memory = false;
    *m = NULL;
    path = path ? path : archive_entry_pathname_utf8(entry);
    if (!path || strlen(path) > NAME_BYTES_MAX || s->index->count == MEMBERS_MAX) {
        return err_set(e, ERR_INPUT, "%s: %s", s->index->path,
                       path ? "more than 100000 members, or a name of more than 4096 bytes"
                            : "a member without a name, or with one that is not UTF-8");
    }
    char *const name = archive_clean_name(path, &no_memory);
    if (!name && !no_memory && archive_entry_filetype(entry) == AE_IFDIR &&
        strspn(path, "./") == strlen(path) && !strstr(path, "..") && path[0] != '/') {
        return OK; /* the top itself */
    }
    if (!name && !no_memory) {
        err_set(e, ERR_INPUT, "%s: unsafe member name \"%s\"", s->index->path, path);
        err_hint(e, "member names must be relative, without ..");
        return ERR_INPUT;
    }
    *m = name ? add_member(s, name) : NULL;
    if (!*m) {
        free(name);
        return err_set(e, ERR_MEMORY, "%s: no memory for the list of its members", s->index->path);
    }
    return count_name(s, name, e);
}

static err_code take_entry(scan *s, struct archive_entry *entry, err *e)
{
    archive_member *m = NULL;
    const char *const hard = archive_entry_hardlink(entry);
    const char *const symbolic = archive_entry_symlink(entry);
    TRY(take_name(s, entry, &m, e));
    if (!m) {
        return OK;
    }
    if (hard || symbolic) {
        return take_link(s, hard, symbolic, m, e);
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return take_file(s, entry, m, e);
    case AE_IFDIR:
        m->kind = ARCHIVE_DIRECTORY;
        return OK;
    default:
        m->kind = ARCHIVE_OTHER;
        return OK;
    }
}

/* ---- the pass -------------------------------------------------- */

/* A tar ends with blocks of zeros; without them the last members may be missing. */
static err_code check_end(scan *s, err *e)
{
    if (s->form != FORM_ZIP &&
        archive_filter_bytes(s->a, 0) == archive_read_header_position(s->a)) {
        return err_set(e, ERR_INPUT, "%s: truncated: the mark at its end is missing",
                       s->index->path);
    }
    /* The checksums of the compression come after the archive: read to the end to check them. */
    for (size_t bytes = 1; s->in && bytes > 0;) {
        const unsigned char *piece = NULL;
        TRY(decompressor_read(s->in, &piece, &bytes, e));
    }
    return archive_memory_check(s->index->path, s->a, e);
}

static err_code read_members(scan *s, err *e)
{
    TRY(open_archive(s, e));
    for (;;) {
        struct archive_entry *entry = NULL;
        const int status = archive_read_next_header(s->a, &entry);
        if (status == ARCHIVE_EOF) {
            return check_end(s, e);
        }
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
            return refuse(s, archive_error_string(s->a), e);
        }
        if (monitor_cancelled(s->m)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        TRY(take_entry(s, entry, e));
    }
}

/* Libarchive translates the names in a zip file, which are UTF-8, for the locale of the thread, and
 * for that of C it has none for names that are not ASCII. Names in a tar file stay as they are. The
 * locale is spelled like its directory: glibc 2.36 would lose memory of another spelling if some
 * allocation fails. */
static err_code pass(scan *s, err *e)
{
    const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.utf8", (locale_t)0);
    if (!utf8 && errno == ENOMEM) {
        return err_set(e, ERR_MEMORY, "%s: no memory for a locale", s->index->path);
    }
    const locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    const err_code code = read_members(s, e);
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    return code;
}

err_code archive_scan(archive_index *index, int fd, archive_form form, const monitor *m,
                      int *temp_file, err *e)
{
    struct stat st;
    err_code code = OK;
    *temp_file = -1;
    if (form == FORM_NONE) {
        return err_set(e, ERR_INPUT, "%s: not an archive", index->path);
    }
    if (fstat(fd, &st) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", index->path);
    }
    scan *const s = calloc(1, sizeof *s);
    if (!s) {
        return err_set(e, ERR_MEMORY, "%s: no memory", index->path);
    }
    s->index = index;
    s->fd = fd;
    s->form = form;
    s->m = m;
    s->file_bytes = (uint64_t)st.st_size;
    s->temp_file = temp_file;
    archive_memory_start();
    if (form == FORM_COMPRESSED) {
        monitor_stage(m, "unpack", s->file_bytes);
        TRY_OUT(decompressor_open(fd, index->path, m, &s->in, e));
    }
    TRY_OUT(pass(s, e));
out:
    archive_read_free(s->a);
    decompressor_close(s->in);
    archive_memory_end();
    free(s);
    return code;
}
