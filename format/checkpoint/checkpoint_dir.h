/* The folder of a checkpoint: a directory, or the part of an archive that would be one if it were
 * unpacked. Names are relative to it.
 *
 *     checkpoint_dir *f;
 *     checkpoint_dir_open(path, m, &f, e);            a directory, a folder of the Hub's cache, an archive
 *     checkpoint_dir_list(f, &names, e);              names at its top
 *     checkpoint_dir_find(f, "config.json", &place, e)
 *     checkpoint_dir_read(f, "config.json", JSON_FILE_LIMIT, &text, &bytes, e);
 *     checkpoint_dir_close(f);
 *
 * In an archive (format/archive/archive_index.h) the folder is its top, if there are weights, or else the only
 * directory at the top that has some. */
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
    char *path;             /* DIR, ARCHIVE or ARCHIVE/DIR: what names are joined to in messages */
    archive_index *archive; /* NULL: a directory */
    char *top;              /* of an archive: "" or "DIR/" */
} checkpoint_dir;

/* Errors: ERR_IO; ERR_INPUT refs/main names no snapshot, an archive is malformed, or has no weights
 * or several folders with some. `path` must be a directory or what archive_recognizes. */
MUST_CHECK err_code checkpoint_dir_open(const char *path, const monitor *m, checkpoint_dir **out,
                                        err *e);

/* A directory as it is; whether it exists shows later. */
MUST_CHECK err_code checkpoint_dir_open_directory(const char *dir, checkpoint_dir **out, err *e);

/* The names of what is in it. Free with dir_list_free. */
MUST_CHECK err_code checkpoint_dir_list(const checkpoint_dir *f, dir_list *out, err *e);

/* Of an archive: where the file `name` is (archive_find). */
MUST_CHECK err_code checkpoint_dir_find(const checkpoint_dir *f, const char *name,
                                        archive_place *place, err *e);

/* What a file is like: st_mode, st_size, st_dev and st_ino; 0 or an errno value, as stat says it.
 * Of an archive, what is no file counts as a directory. */
int checkpoint_dir_stat(const checkpoint_dir *f, const char *name, struct stat *st);

/* A file of at most `limit` bytes (a larger one is ERR_INPUT). *data is NULL if there is none, else
 * the caller's to free(), with a NUL behind it. A link that leads nowhere is an error. */
MUST_CHECK err_code checkpoint_dir_read(const checkpoint_dir *f, const char *name, size_t limit,
                                        char **data, size_t *bytes, err *e);

void checkpoint_dir_close(checkpoint_dir *f); /* NULL is fine */

#endif
