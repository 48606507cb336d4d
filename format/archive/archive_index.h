/* The members of a tar or zip archive, and where their bytes are.
 *
 *     archive_index *index;
 *     archive_probe(path, &is_archive, e);                        if so:
 *     archive_open(path, m, &index, e);
 *     archive_find(index, "model/config.json", &place, e)         place.file, place.base, place.bytes
 *     archive_close(index);
 *
 * The members of a plain tar, and those that a zip stores uncompressed, are read in place. Compressed
 * ones are unpacked once, from front to back, in bounded memory, into a temporary file without a name
 * (format/file/temp_file.h); only those that a checkpoint may need, see archive_wants. So each member
 * is a range of some file, wherever it came from.
 *
 * Names have no empty components and no "."; no two members have the same name. An archive that
 * contains an absolute name, or one with "..", is refused, whatever kind of member it is. Links are
 * followed within the archive. Data that is read in place is trusted, like the files of a directory;
 * what is unpacked had the right checksums.
 *
 * An index is not changed after archive_open, so several threads may use it. */
#ifndef ARCHIVE_INDEX_H
#define ARCHIVE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"
#include "format/file/file_stamp.h"

typedef enum archive_kind {
    ARCHIVE_FILE,
    ARCHIVE_DIRECTORY,
    ARCHIVE_LINK,
    ARCHIVE_OTHER
} archive_kind;

typedef struct archive_member {
    char *name;
    archive_kind kind;
    char *target;     /* of a link: the name it points to; NULL: outside the archive */
    const char *lack; /* why its bytes are not available; NULL: they are */
    bool unpacked;    /* its bytes are in the temporary file, not in the archive */
    uint64_t base, bytes;
} archive_member;

typedef struct archive_index {
    char *path;
    char *spilled; /* path of the temporary file while the index is open; NULL: there is none */
    archive_member *members; /* sorted by name */
    size_t count;
    file_stamp stamp; /* of the archive */
    struct archive_private *priv;
} archive_index;

/* Bytes [base, base + bytes) of the file at `file`; the path is owned by the index. */
typedef struct archive_place {
    const char *file;
    uint64_t base, bytes;
} archive_place;

/* Is this regular file an archive, or compressed, by its first bytes? ERR_IO: it cannot be read, or
 * is not a regular file. */
MUST_CHECK err_code archive_probe(const char *path, bool *is_archive, err *e);

/* Errors: ERR_IO, ERR_MEMORY, ERR_CANCELLED; ERR_INPUT: not an archive, truncated, a wrong checksum,
 * a name that is refused (see above), or a member that a checkpoint may need is encrypted or sparse.
 */
MUST_CHECK err_code archive_open(const char *path, const monitor *m, archive_index **out, err *e);

/* Find the file of this name; place->file is NULL if there is none. ERR_INPUT: a member of this name
 * exists, but it is not a file, or its bytes are not available. */
MUST_CHECK err_code archive_find(const archive_index *index, const char *name, archive_place *place,
                                 err *e);

/* The member of this name, or the one that a link of this name points to, even if its bytes are not
 * available; NULL: none. */
const archive_member *archive_member_of(const archive_index *index, const char *name);

/* The first member, in the order of names, whose name is not less than this one; index->count if
 * there is none. All members below a directory follow archive_first(index, "DIR/"). */
size_t archive_first(const archive_index *index, const char *name);

/* May a checkpoint need a member of this name and size? That is weights anywhere, and files that may
 * be embedded: at most 64 MiB, at the top of the archive or at most two directories below it, since
 * the checkpoint may be in a directory itself. */
bool archive_wants(const char *name, uint64_t bytes);

void archive_close(archive_index *index); /* NULL is fine */

#endif
