/* A tar or zip file as a list of its members, and where their bytes are.
 *
 *     archive_index *b;
 *     if (archive_recognizes(path)) archive_open(path, m, &b, e);
 *     archive_find(b, "model/config.json", &place, e)         place.file, place.base, place.bytes
 *     archive_close(b);
 *
 * Members of a tar and those that a zip stores lie in the file itself as they are, and are read
 * there. A file that is compressed is unpacked once, front to back, in bounded memory, into a
 * temporary file without a name (format/file/temp_file.h): of it are there only members that a checkpoint
 * may need, see archive_wants. So each member is a range of some file, wherever it came from.
 *
 * Names have no empty components and no "."; no two members have the same one. An archive with a
 * name that is absolute or has ".." in it is refused, whatever it stands for. Links are followed
 * within the archive. What is read in place is believed, as files of a directory are; what is
 * unpacked had the right checksums. */
#ifndef ARCHIVE_INDEX_H
#define ARCHIVE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef enum archive_kind {
    ARCHIVE_FILE,
    ARCHIVE_DIRECTORY,
    ARCHIVE_LINK,
    ARCHIVE_OTHER
} archive_kind;

typedef struct archive_member {
    char *name;
    archive_kind kind;
    char *target;     /* of a link: a name; NULL: it leads out of the archive */
    const char *lack; /* why its bytes are not there, NULL: they are */
    bool unpacked;    /* they are in the temporary file, not in the archive */
    uint64_t base, bytes;
} archive_member;

typedef struct archive_index {
    char *path;
    char *spilled; /* a path to the temporary file while the index is open; NULL: there is none */
    archive_member *members; /* sorted by name */
    size_t count;
    uint64_t device, inode; /* of the archive */
    struct archive_private *priv;
} archive_index;

/* Bytes [base, base + bytes) of the file at `file`, which is the index's. */
typedef struct archive_place {
    const char *file;
    uint64_t base, bytes;
} archive_place;

/* By its first bytes: is this regular file an archive, or compressed? ERR_IO: it cannot be read, or
 * is no regular file; archive_recognizes takes that for a no. */
MUST_CHECK err_code archive_probe(const char *path, bool *is_archive, err *e);
bool archive_recognizes(const char *path);

/* Errors: ERR_IO; ERR_INPUT no archive, cut off, a wrong checksum, a name or a member as described
 * above or one that is encrypted or has holes though a checkpoint may need it. */
MUST_CHECK err_code archive_open(const char *path, const monitor *m, archive_index **out, err *e);

/* Where the file of this name is. place->file is NULL if there is none. ERR_INPUT: there is
 * something of this name, but its bytes are not there, or it is no file. */
MUST_CHECK err_code archive_find(const archive_index *b, const char *name, archive_place *place,
                                 err *e);

/* The member of this name, or the one that a link of this name leads to, even if its bytes are not
 * there; NULL: none. */
const archive_member *archive_member_of(const archive_index *b, const char *name);

/* May a checkpoint need a member of this name and size? Weights wherever they are, and what may be
 * embedded: files of at most 64 MiB at the top or in a directory there. */
bool archive_wants(const char *name, uint64_t bytes);

void archive_close(archive_index *b); /* NULL is fine */

#endif
