/* A directory that appears as a whole or not at all, also in the place of an older one.
 *
 *     whole_dir_open(path, force, "list.json", &d, e);     .NAME.part beside it, locked
 *     whole_dir_list(d, names, count, "{\"by\":1}", e);   which files it is going to have
 *     whole_dir_part(d)                                    put them there, by output.h or its like
 *     whole_dir_commit(&d, e);                             sync, rename, make the rename durable
 *     whole_dir_abandon(&d);                               after any failure; fine after commit
 *
 * output_dir.h puts files into a directory, beside those that are there; here the directory is one
 * thing: what a loader finds is of one run.
 *
 * The list is a file of the directory itself, and the first that is written. By it a later run
 * knows what it may remove: a directory that holds nothing but what its list names (".FILE.part" of
 * such a file included) is replaced on request; so is the .part of a killed run. One file of
 * somebody else's keeps a directory as it is: nothing is ever removed that is not on the list. */
#ifndef WHOLE_DIR_H
#define WHOLE_DIR_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

typedef struct whole_dir whole_dir;

/* `list` is the name of the list, and stays where it is. Errors, all ERR_IO: the directory exists
 * and `force` is false, or it is none, or it holds what is not on its list; somebody else writes it
 * now; no permission. */
MUST_CHECK err_code whole_dir_open(const char *path, bool force, const char *list, whole_dir **out,
                                   err *e);

/* Write the list: a JSON object with the members of `members` and "files", an array of `names`. */
MUST_CHECK err_code whole_dir_list(whole_dir *d, const char *const *names, size_t count,
                                   const char *members, err *e);

/* Where the files go until commit. */
const char *whole_dir_part(const whole_dir *d);

/* Give the directory its name, with the permissions that the umask leaves of 0777; an older one
 * disappears in the same step. Releases *d once it has that name, even if what follows fails. */
MUST_CHECK err_code whole_dir_commit(whole_dir **d, err *e);

void whole_dir_abandon(whole_dir **d); /* NULL is fine */

#endif
