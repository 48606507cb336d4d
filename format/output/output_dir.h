/* A directory of files that appears complete or not at all.
 *
 *     output_dir_open(path, force, names, count, &d, e);
 *     output_dir_claim(d, "config.json", e);      for every file to come: may it be put there?
 *     ... make the files in output_dir_path(d), and sync them: output_open, st_writer_open ...
 *     output_dir_commit(&d, e);
 *     output_dir_abandon(&d);                     after any failure; fine after commit
 *
 * Where there is no directory of that name, one is built beside it as .NAME.part and renamed in the
 * end. Where there is one, which must be empty unless `force`, the files are made in
 * DIR/.octavo.part and moved out of there in the end, one after the other: those of the same name
 * are replaced, others stay. In both cases the name is locked while somebody writes, and what a
 * killed run left is removed: files of these names, and their temporary files. Where there is
 * anything else, it is somebody else's, and all stays as it is. One thread. */
#ifndef OUTPUT_DIR_H
#define OUTPUT_DIR_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

#define OUTPUT_DIR_PART ".octavo.part" /* in a directory that exists */

typedef struct output_dir output_dir;

/* `names` are those of all files that such a run could make; they stay where they are. Errors, all
 * ERR_IO: it exists and is no directory, or one that is not empty without `force`; the temporary
 * directory holds what no run has left; somebody else writes it now; no permission. */
MUST_CHECK err_code output_dir_open(const char *path, bool force, const char *const *names,
                                    size_t count, output_dir **out, err *e);

/* Where the files have to be made; owned by the output_dir. */
const char *output_dir_path(const output_dir *d);

/* Say before the work what would fail behind it. `name` has no '/'. ERR_IO: the name is none of a
 * file, or is taken by something that is not to be replaced. */
MUST_CHECK err_code output_dir_claim(const output_dir *d, const char *name, err *e);

/* The path that a file of this name will have, in fresh memory; NULL without memory. */
char *output_dir_final(const output_dir *d, const char *name);

/* Give everything its name. *d is released unless it fails. */
MUST_CHECK err_code output_dir_commit(output_dir **d, err *e);

void output_dir_abandon(output_dir **d); /* a NULL one is fine */

#endif
