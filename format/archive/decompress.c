/* Libarchive unpacks everything except gzip, whose checksums it does not verify: zlib does that. */
#include "format/archive/decompress.h"

#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/archive/archive_memory.h"
#include "format/archive/gzip.h"
#include "format/base/expansion.h"
#include "format/base/num.h"
#include "format/file/io.h"

enum { IN_BYTES = 256 << 10, OUT_BYTES = 1 << 20 };

struct decompressor {
    int fd;
    const unsigned char *data; /* the compressed bytes; NULL: they are in a file */
    const char *path;
    const monitor *m;
    uint64_t at, file_bytes; /* compressed bytes: read so far, in total */
    uint64_t made, limit;    /* unpacked bytes: so far, at most */
    err failure;             /* of the read callback: reported when libarchive returns */
    gzip_stream *gzip;       /* either this one or the next; the unused one is NULL */
    struct archive *other;
    bool empty;                /* `other` has no data */
    const unsigned char *next; /* the last piece of input; gzip: what is not unpacked yet */
    size_t left;
    unsigned char in[IN_BYTES], out[OUT_BYTES];
};

bool decompressor_recognizes(const unsigned char *start)
{
    static const struct {
        const char *bytes;
        size_t count;
    } magics[] = {
        {"\x1f\x8b\x08", 3},         /* gzip */
        {"\x28\xb5\x2f\xfd", 4},     /* zstd */
        {"\xfd\x37\x7a\x58\x5a", 5}, /* xz */
        {"BZh", 3},                  /* bzip2 */
    };
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        if (memcmp(start, magics[i].bytes, magics[i].count) == 0) {
            return true;
        }
    }
    return false;
}

/* The next piece of input; f->left is 0 at the end of the file. */
static err_code fill(decompressor *f, err *e)
{
    const size_t wanted = num_min(IN_BYTES, f->file_bytes - f->at);
    f->next = f->data ? f->data + f->at : f->in;
    f->left = 0;
    if (monitor_cancelled(f->m)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    TRY(f->data ? OK : io_read_at(f->fd, f->path, f->at, f->in, wanted, e));
    f->at += wanted;
    f->left = wanted;
    monitor_advance(f->m, wanted);
    return OK;
}

static la_ssize_t read_input(struct archive *a, void *ctx, const void **piece)
{
    decompressor *const f = ctx;
    if (fill(f, &f->failure) != OK) {
        archive_set_error(a, EIO, "%s", f->failure.text);
        return -1;
    }
    *piece = f->next;
    return (la_ssize_t)f->left;
}

static err_code refuse(const decompressor *f, const char *why, err *e)
{
    if (f->failure.code != OK) {
        return err_set(e, f->failure.code, "%s", f->failure.text);
    }
    if (f->other) {
        TRY(archive_memory_check(f->path, f->other, e));
    }
    /* liblzma's message when the input ends early; those of the other libraries are clearer. */
    const bool cut = why && strstr(why, "No progress is possible");
    return err_set(e, ERR_INPUT, "%s: cannot be unpacked: %s", f->path,
                   cut   ? "truncated xz data"
                   : why ? why
                         : "damaged or unsupported");
}

/* Libarchive as a decompressor only: its "raw" format is one member with all the data. */
static err_code open_other(decompressor *f, err *e)
{
    struct archive_entry *entry = NULL;
    f->other = archive_read_new();
    if (!f->other) {
        return err_set(e, ERR_MEMORY, "%s: no memory", f->path);
    }
    /* Some filters would run an external program: ask only for those that a library implements. */
    if (archive_read_support_format_raw(f->other) != ARCHIVE_OK ||
        archive_read_support_format_empty(f->other) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(f->other) != ARCHIVE_OK ||
        archive_read_support_filter_xz(f->other) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(f->other) != ARCHIVE_OK) {
        return refuse(f, archive_error_string(f->other), e);
    }
    if (archive_read_open(f->other, f, NULL, read_input, NULL) != ARCHIVE_OK) {
        return refuse(f, archive_error_string(f->other), e);
    }
    const int header = archive_read_next_header(f->other, &entry);
    f->empty = header == ARCHIVE_EOF;
    if ((header != ARCHIVE_OK && !f->empty) || f->failure.code != OK) {
        return refuse(f, archive_error_string(f->other), e);
    }
    return archive_filter_count(f->other) > 1 ? OK : refuse(f, NULL, e);
}

/* By the first bytes: gzip, or what libarchive finds. */
static err_code open_stream(decompressor *f, err *e)
{
    TRY(fill(f, e));
    if (gzip_is_compressed((const char *)f->next, f->left)) {
        f->gzip = gzip_stream_new();
        return f->gzip ? OK : err_set(e, ERR_MEMORY, "%s: no memory", f->path);
    }
    f->at = 0; /* libarchive reads from the beginning */
    return open_other(f, e);
}

static err_code make(const char *path, const monitor *m, decompressor **out, err *e)
{
    *out = calloc(1, sizeof **out);
    if (!*out) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    (*out)->path = path;
    (*out)->m = m;
    return OK;
}

/* *out: what was made, without input until then. */
static err_code start(decompressor **out, err *e)
{
    const err_code code = open_stream(*out, e);
    if (code != OK) {
        decompressor_close(*out);
        *out = NULL;
    }
    return code;
}

err_code decompressor_open(int fd, const char *path, const monitor *m, decompressor **out, err *e)
{
    struct stat st;
    *out = NULL;
    if (fstat(fd, &st) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    TRY(make(path, m, out, e));
    (*out)->fd = fd;
    (*out)->file_bytes = (uint64_t)st.st_size;
    (*out)->limit = decompressor_limit((uint64_t)st.st_size);
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return start(out, e);
}

err_code decompressor_open_memory(const void *data, size_t bytes, const char *name,
                                  const monitor *m, decompressor **out, err *e)
{
    TRY(make(name, m, out, e));
    (*out)->fd = -1;
    (*out)->data = data;
    (*out)->file_bytes = bytes;
    (*out)->limit = UINT64_MAX;
    return start(out, e);
}

/* Does another gzip stream follow? Zeros that fill the last block of a tape or disk are skipped. */
static err_code check_rest(decompressor *f, bool *more, err *e)
{
    for (;;) {
        while (f->left > 0 && *f->next == 0) {
            f->next++;
            f->left--;
        }
        *more = f->left > 0;
        if (*more || f->at == f->file_bytes) {
            return OK;
        }
        TRY(fill(f, e));
    }
}

static err_code read_gzip(decompressor *f, size_t *bytes, err *e)
{
    while (*bytes == 0) {
        bool more = true;
        if (f->left == 0 && f->at < f->file_bytes) {
            TRY(fill(f, e));
        }
        if (gzip_stream_is_between(f->gzip)) {
            TRY(check_rest(f, &more, e));
        }
        if (!more) {
            return OK;
        }
        err why = {0};
        const err_code code =
            gzip_stream_step(f->gzip, &f->next, &f->left, f->out, OUT_BYTES, bytes, &why);
        if (code != OK) {
            return err_set(e, code, "%s: cannot be unpacked: %s", f->path, why.text);
        }
    }
    return OK;
}

static uint64_t limit_by_size(uint64_t archive_bytes)
{
    uint64_t bytes = 0;
    const bool fits = num_mul(archive_bytes, DECOMPRESSOR_GROWTH, &bytes);
    return fits ? num_max(bytes, DECOMPRESSOR_SPARE) : UINT64_MAX;
}

uint64_t decompressor_limit(uint64_t archive_bytes)
{
    return expansion_limit(limit_by_size(archive_bytes));
}

err_code decompressor_refuse(const char *path, uint64_t archive_bytes, err *e)
{
    const uint64_t limit = decompressor_limit(archive_bytes);
    char why[64] = "";
    if (limit > limit_by_size(archive_bytes)) {
        snprintf(why, sizeof why, ", which --max-expand allows");
    } else if (limit > DECOMPRESSOR_SPARE) {
        snprintf(why, sizeof why, ", %d times its size", DECOMPRESSOR_GROWTH);
    }
    err_set(e, ERR_INPUT, "%s: unpacks to more than %" PRIu64 " MiB%s: refused", path, limit / MIB,
            why);
    err_hint(e, "if this is intended, --max-expand SIZE allows more");
    return ERR_INPUT;
}

/* After the end of a stream libarchive looks whether another one follows, and takes a read
 * that fails there for the end of the file. */
static err_code read_other(decompressor *f, size_t *bytes, err *e)
{
    const la_ssize_t n = f->empty ? 0 : archive_read_data(f->other, f->out, OUT_BYTES);
    if (n < 0 || f->failure.code != OK) {
        return refuse(f, archive_error_string(f->other), e);
    }
    *bytes = (size_t)n;
    return OK;
}

/* A piece of the input may become thousands of pieces of the output: each asks for cancellation. */
err_code decompressor_read(decompressor *f, const unsigned char **piece, size_t *bytes, err *e)
{
    *piece = f->out;
    *bytes = 0;
    if (monitor_cancelled(f->m)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    TRY(f->gzip ? read_gzip(f, bytes, e) : read_other(f, bytes, e));
    f->made += *bytes;
    return f->made <= f->limit ? OK : decompressor_refuse(f->path, f->file_bytes, e);
}

void decompressor_close(decompressor *f)
{
    if (f) {
        gzip_stream_free(f->gzip);
        archive_read_free(f->other);
        free(f);
    }
}
