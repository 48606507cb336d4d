/* A directory of files that appears complete or not at all.
 *
 *     output_dir_open(path, force, names, count, &d, e);
 *     output_dir_claim(d, "config.json", e);      for each file: may it be created there?
 *     output_dir_put(d, "config.json", data, bytes, e);
 *     ... make others in output_dir_folder(d): output_open_in, st_writer_open_in ...
 *     output_dir_commit(&d, e);
 *     output_dir_abandon(&d);                     after any failure; fine after commit
 *
 * If there is no directory of that name, one is built as .NAME.part and finally renamed. If there
 * is one, which must be empty unless `force`, the files are made in DIR/.octavo.part and finally
 * moved from there one after the other: files of the same name are replaced, other files stay. A name
 * may be DIR/NAME; a directory of that name may exist already, but no link is followed. In
 * both cases the temporary directory is locked, and what a killed run left in it is removed: files
 * of these names, and their temporary files. If it holds anything else, that belongs to somebody
 * else: nothing is removed, and opening fails. One thread. */
#ifndef OUTPUT_DIR_H
#define OUTPUT_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/output/output.h"

#define OUTPUT_DIR_PART ".octavo.part" /* the temporary directory in one that exists */

typedef struct output_dir output_dir;

/* `names` lists all files that such a run could make; it is not copied and must outlive the
 * output_dir. Errors: ERR_IO if `path` is not a directory, if it is not empty and `force` is false,
 * if the temporary directory holds files that are not in `names`, if another run is writing it, or
 * for lack of permission; ERR_MEMORY. */
MUST_CHECK err_code output_dir_open(const char *path, bool force, const char *const *names,
                                    size_t count, output_dir **out, err *e);

/* The directory in which to create the files; owned by the output_dir. */
output_folder output_dir_folder(const output_dir *d);

/* Create a file, NAME or DIR/NAME with its directory, in the temporary directory. ERR_IO. */
MUST_CHECK err_code output_dir_put(const output_dir *d, const char *name, const void *data,
                                   uint64_t bytes, err *e);

/* Report before the work what would make the commit fail after it. ERR_IO: `name` cannot be the
 * name of a file, or is taken by something that must not be replaced. */
MUST_CHECK err_code output_dir_claim(const output_dir *d, const char *name, err *e);

/* The final path of a file of this name. The caller frees it; NULL if memory is short. */
char *output_dir_final(const output_dir *d, const char *name);

/* Rename the directory, or move the files, into place. *d is released unless this fails. */
MUST_CHECK err_code output_dir_commit(output_dir **d, err *e);

void output_dir_abandon(output_dir **d); /* a NULL output_dir is fine */

#endif
