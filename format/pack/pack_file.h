/* Opens a packed file and reads from it (spec/format.md section 11).
 *
 *     pack_file *p;
 *     pack_open(path, &p, e)
 *     pack_table_find(&p->table, name) ...
 *     pack_close(p)
 *
 * pack_open trusts no byte before the digest that covers it was checked, and keeps a copy of what
 * it has checked: a file that changes afterwards does no harm. It reads superblock, trailer and
 * head, never the data. An open file may be read by several threads. */
#ifndef PACK_FILE_H
#define PACK_FILE_H

#include "format/file/file_stamp.h"
#include "format/pack/pack_evidence.h"

struct member; /* format/archive/embed_tar.h */

typedef struct pack_file {
    char *path;
    int fd;
    uint64_t file_bytes;
    file_stamp stamp; /* when it was opened */
    pack_superblock superblock;
    pack_trailer trailer;
    pack_table table;
} pack_file;

/* Does this regular file begin like a packed file? For commands that take packed files and checkpoints.
 * ERR_IO: it cannot be read, or is not a regular file. */
MUST_CHECK err_code pack_probe(const char *path, bool *is_packed, err *e);

/* ERR_IO; ERR_DAMAGED: a digest, copy or length is wrong; ERR_INPUT: not a packed file, or a field
 * with an illegal value; ERR_MEMORY. Release *out by pack_close. */
MUST_CHECK err_code pack_open(const char *path, pack_file **out, err *e);
void pack_close(pack_file *p); /* NULL is fine */

/* The same for a file that is open already: its name may lead to another file by now, and all steps of a
 * command have to judge one file. `name` is for messages, `open_fd` stays the caller's (a negative one:
 * open `name`), `opened` is the stamp of the file when it was opened (NULL: as it is now), with which
 * pack_end compares. */
MUST_CHECK err_code pack_open_again(const char *name, int open_fd, const file_stamp *opened,
                                    pack_file **out, err *e);

/* The directory entry of a section, NULL if the file has no section with this tag. */
const pack_section *pack_find_section(const pack_file *p, uint32_t tag);

/* Read a section and check its digest. The caller frees *data by free(); it ends with a NUL that is
 * not counted. */
MUST_CHECK err_code pack_read_section(const pack_file *p, uint32_t tag, unsigned char **data,
                                      uint64_t *bytes, err *e);

/* All embedded files, in the order of their names. Release *members by members_free. ERR_DAMAGED:
 * the digest of their section does not match; ERR_INPUT: the section is not a valid archive. */
MUST_CHECK err_code pack_read_members(const pack_file *p, struct member **members, size_t *count,
                                      err *e);

/* One embedded file of at most JSON_FILE_LIMIT bytes (a larger one is ERR_INPUT). *data is NULL if
 * there is no such file; otherwise the caller frees it, and it ends with a NUL that is not
 * counted. */
MUST_CHECK err_code pack_read_member(const pack_file *p, const char *name, char **data,
                                     size_t *bytes, err *e);

/* Digests and statistics. ERR_INPUT if a section does not have the length that follows from the
 * table. Release *out by pack_evidence_free. */
MUST_CHECK err_code pack_read_evidence(const pack_file *p, pack_evidence *out, err *e);

/* ---- steps of pack_open, for a checker that goes on after the first damage ---- */

/* Compare the fields that superblock and trailer have in common. ERR_DAMAGED: a copy differs, or
 * file_bytes is not the length of the file. */
MUST_CHECK err_code pack_copies_check(const unsigned char *superblock, const pack_superblock *s,
                                      const unsigned char *trailer, const pack_trailer *t,
                                      uint64_t file_bytes, err *e);

/* Read `s` from an open file and check its SHA-256. */
MUST_CHECK err_code pack_section_load(int fd, const char *path, const pack_section *s,
                                      unsigned char **data, err *e);

#endif
