/* The folder of a checkpoint: a directory, or the part of an archive that would be that directory
 * if it were unpacked. Names are relative to it.
 *
 *     checkpoint_dir *f;
 *     checkpoint_dir_open(path, m, &f, e);        a directory, a folder of the Hub's cache, an archive
 *     checkpoint_dir_list(f, &names, e);          names at its top
 *     checkpoint_dir_read(f, "config.json", JSON_FILE_LIMIT, &text, &bytes, e);
 *     checkpoint_dir_close(f);
 *
 * In an archive (format/archive/archive_index.h) the folder is the top, if there are weights, else
 * the only directory at the top that contains some. After opening several threads may use it. */
#ifndef CHECKPOINT_DIR_H
#define CHECKPOINT_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "format/archive/archive_index.h"
#include "format/base/err.h"
#include "format/file/dir_list.h"
#include "format/base/monitor.h"

typedef struct checkpoint_dir {
    char *path;              /* DIR, ARCHIVE or ARCHIVE/DIR: what names are joined to in messages */
    archive_index *archive;  /* NULL: a directory */
    char *top;               /* of an archive: "" or "DIR/" */
    struct seen_files *seen; /* what checkpoint_dir_read has read */
} checkpoint_dir;

/* Open a directory, or a file that archive_probe finds to be an archive. *out:
 * checkpoint_dir_close. Errors: ERR_IO; ERR_INPUT: refs/main does not name a snapshot, or an
 * archive is malformed, has no weights, or has several directories with weights. */
MUST_CHECK err_code checkpoint_dir_open(const char *path, const monitor *m, checkpoint_dir **out,
                                        err *e);

/* Open a directory as it is, not as a folder of the Hub's cache; if it does not exist, later calls
 * fail. */
MUST_CHECK err_code checkpoint_dir_open_directory(const char *dir, checkpoint_dir **out, err *e);

/* List the names in it, directories among them, or, of one of them, in its directory `dir`. Free
 * with dir_list_free, also after an error. */
MUST_CHECK err_code checkpoint_dir_list(const checkpoint_dir *f, dir_list *out, err *e);
MUST_CHECK err_code checkpoint_dir_list_below(const checkpoint_dir *f, const char *dir,
                                              dir_list *out, err *e);

/* Is this a directory, and not a link to one? What a link leads to may be anywhere and of any size:
 * it is not looked into. ERR_MEMORY, ERR_IO. */
MUST_CHECK err_code checkpoint_dir_is_directory(const checkpoint_dir *f, const char *name,
                                                bool *found, err *e);

/* Only in an archive: find the file `name` (archive_find). */
MUST_CHECK err_code checkpoint_dir_find(const checkpoint_dir *f, const char *name,
                                        archive_place *place, err *e);

/* Like stat: sets st_mode, st_size, st_dev and st_ino. Returns 0 or an errno value. In an archive,
 * everything that is not a file counts as a directory. */
int checkpoint_dir_stat(const checkpoint_dir *f, const char *name, struct stat *st);

/* Read a file of at most `limit` bytes (a larger one is ERR_INPUT). *data is NULL if there is none,
 * else the caller's to free(), with a NUL after it. A dangling link is an error. */
MUST_CHECK err_code checkpoint_dir_read(const checkpoint_dir *f, const char *name, size_t limit,
                                        char **data, size_t *bytes, err *e);

/* Are the files that checkpoint_dir_read has read still the same, and were those that it read twice
 * the same both times? Not while another thread reads. ERR_IO; a note if only a ctime changed. */
MUST_CHECK err_code checkpoint_dir_unchanged(const checkpoint_dir *f, const monitor *m, err *e);

void checkpoint_dir_close(checkpoint_dir *f); /* NULL is fine */

#endif
