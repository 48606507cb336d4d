/* A file that appears complete or not at all.
 *
 *     output_open(path, force, &out, e);        .NAME.part next to it, locked: one writer at a time
 *     output_reserve(out, bytes, e);            fails now if space is short, not after an hour
 *     output_write(out, off, data, bytes, e);   any thread, any order; unwritten bytes are zero
 *     output_sync(out, e);                      if something is to happen before commit
 *     output_commit(&out, e);                   sync, rename, make the rename durable
 *     output_abandon(&out);                     after a failure: removes the temporary file
 *
 * Until commit a file of that name stays as it is, and only the owner can read the temporary one. A
 * stale .part of a killed run is replaced, and so would be an input of that name: callers with
 * inputs check them by inputs_spare first. A .part that is not a private file of ours is refused.
 * All calls except output_write are for one thread. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct output output;

/* "dir/.NAME.part": the temporary file of an output. The caller frees it by free(); NULL if memory
 * is short. */
char *output_part_name(const char *path);

/* Is `entry` the name of a file, or that of its temporary file? Names without '/'. */
bool output_stands_for(const char *entry, const char *name);

/* The name of the file whose temporary file `entry` could be, in `plain`, which has strlen(entry)
 * bytes or more; false: it has no such name. */
bool output_plain_name(const char *entry, char *plain);

/* Errors: ERR_IO if `path` exists and `force` is false, if it is not a regular file, if another run
 * is writing it, or for lack of permission; ERR_MEMORY. */
MUST_CHECK err_code output_open(const char *path, bool force, output **out, err *e);

/* An open directory of ours, and its path, for messages. */
typedef struct output_folder {
    int fd;
    const char *path;
} output_folder;

/* The same for a new file in a directory that is not the final one yet (whole_dir.h, output_dir.h):
 * `name` is found from its descriptor, wherever its path leads by now. Neither `name` nor its
 * temporary file may exist. */
MUST_CHECK err_code output_open_in(const output_folder *folder, const char *name, output **out,
                                   err *e);

/* Would output_open fail now? Creates nothing; for callers that have long work to do before they
 * open the output. The errors are those of output_open, except those that only creating the
 * temporary file shows. */
MUST_CHECK err_code output_check(const char *path, bool force, err *e);

/* An output to an open descriptor, such as a pipe: what is written cannot be taken back, nothing
 * can be read again (there is no output_descriptor), and output_write must be called with ascending
 * offsets by one thread at a time. `name` is for messages; `m` is asked for cancellation while the
 * reader of the pipe is slow. ERR_IO, ERR_MEMORY. */
MUST_CHECK err_code output_open_stream(int fd, const char *name, const monitor *m, output **out,
                                       err *e);
bool output_is_stream(const output *o);

/* Extend the file to `bytes` bytes and allocate the space for them. Nothing to do for a stream. */
MUST_CHECK err_code output_reserve(output *o, uint64_t bytes, err *e);
MUST_CHECK err_code output_write(output *o, uint64_t off, const void *data, uint64_t bytes, err *e);

/* fsync, while nobody writes: from now on nothing changes the file or its times, until somebody
 * writes again. A failure is final: the kernel may have dropped the data, and a second fsync would
 * not report that. So after an error only output_abandon may follow. */
MUST_CHECK err_code output_sync(output *o, err *e);

/* The descriptor, which is also open for reading, and the name of the temporary file; both owned by
 * the output. */
int output_descriptor(const output *o);
const char *output_part_path(const output *o);

/* Give the file the permissions of the file that it replaces, or 0666 less the umask; sync it and
 * rename it into place. *o is released as soon as the rename has succeeded, even if the directory
 * cannot be synced after it. ERR_IO also if the temporary file was removed or replaced by another
 * one. */
MUST_CHECK err_code output_commit(output **o, err *e);

void output_abandon(output **o); /* a NULL output is fine */

/* All of these steps for a new file whose content is in memory. */
MUST_CHECK err_code output_write_file(const char *path, const void *data, uint64_t bytes, err *e);
MUST_CHECK err_code output_write_file_in(const output_folder *folder, const char *name,
                                         const void *data, uint64_t bytes, err *e);

#endif
