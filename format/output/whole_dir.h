/* A directory that appears as a whole or not at all, even if it replaces an older one.
 *
 *     whole_dir_open(path, force, "list.json", &d, e);     .NAME.part next to it, locked
 *     whole_dir_list(d, names, count, "{\"by\":1}", e);    the files that it is going to have
 *     whole_dir_put(d, "config.json", data, bytes, e);     small files, also DIR/NAME
 *     whole_dir_folder(d)                                  create others there: output_open_in …
 *     whole_dir_commit(&d, e);                             sync, rename, make the rename durable
 *     whole_dir_abandon(&d);                               after any failure; fine after commit
 *
 * output_dir.h adds files to a directory and keeps those that are already there; here the directory
 * is replaced as a unit, so that all files that a loader finds are from one run.
 *
 * The list is a file of the directory itself, and the first that is written. It says what a later
 * run may remove: a directory that holds nothing except what its list names (".FILE.part" of such a
 * file included, and the directories of names DIR/NAME) is replaced if `force`, and so is the .part
 * of a killed run. A single other file protects the directory: nothing is ever removed that is not
 * on the list. One thread. */
#ifndef WHOLE_DIR_H
#define WHOLE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/output/output.h"

typedef struct whole_dir whole_dir;

/* `list` is the file name of the list; it is not copied and must outlive the whole_dir. Errors:
 * ERR_IO if `path` exists and `force` is false, if it is not a directory, if it holds files that
 * are not on its list, if another run is writing it, or for lack of permission; ERR_MEMORY. */
MUST_CHECK err_code whole_dir_open(const char *path, bool force, const char *list, whole_dir **out,
                                   err *e);

/* Write the list: a JSON object with the members of `members` and "files", an array of `names`. */
MUST_CHECK err_code whole_dir_list(whole_dir *d, const char *const *names, size_t count,
                                   const char *members, err *e);

/* Create a file of the list, NAME or DIR/NAME, with its directory. */
MUST_CHECK err_code whole_dir_put(whole_dir *d, const char *name, const void *data, uint64_t bytes,
                                  err *e);

/* The directory in which to create the files, until commit. Owned by the whole_dir. */
output_folder whole_dir_folder(const whole_dir *d);

/* Rename the directory into place, with the permissions 0777 less the umask; an older one gets the
 * temporary name in the same step, and its files are removed when that is durable. *d is released
 * as soon as the rename has succeeded, even if what follows it fails. */
MUST_CHECK err_code whole_dir_commit(whole_dir **d, err *e);

void whole_dir_abandon(whole_dir **d); /* NULL is fine */

#endif
