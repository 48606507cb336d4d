/* A file that appears complete or not at all.
 *
 *     output_open(path, force, &out, e);        .NAME.part beside it, locked: one writer at a time
 *     output_reserve(out, bytes, e);            no space: say so now, not after an hour
 *     output_write(out, off, data, bytes, e);   any thread, any order; what is not written is zero
 *     output_sync(out, e);
 *     output_commit(&out, e);                   rename, make the rename durable
 *     output_abandon(&out);                     after a failure: removes the temporary file
 *
 * Until commit a file of that name stays as it is. A stale .part of a killed run is replaced; so
 * would be an input of that name: whoever has inputs compares them with output_part_name, too. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct output output;

/* "dir/.NAME.part": the temporary file of an output. The caller's to free(); NULL: no memory. */
char *output_part_name(const char *path);

/* Is `entry` the name of a file, or that of its temporary file? Names without '/'. */
bool output_stands_for(const char *entry, const char *name);

/* Errors, all ERR_IO: it exists and `force` is false, it is no regular file, somebody else writes
 * it now, no permission. */
MUST_CHECK err_code output_open(const char *path, bool force, output **out, err *e);

/* Would output_open refuse it now? Nothing is made: for who has long work to do before. The errors
 * are those of output_open but for what only the temporary file shows. */
MUST_CHECK err_code output_check(const char *path, bool force, err *e);

/* A pipe, or whatever else an open descriptor leads to: what is written cannot be taken back,
 * nothing can be read again (there is no output_descriptor), and output_write wants ascending
 * offsets, of one thread at a time. `name` is for messages; `m` is asked while the other end keeps
 * us waiting. */
MUST_CHECK err_code output_open_stream(int fd, const char *name, const monitor *m, output **out,
                                       err *e);
bool output_is_stream(const output *o);

MUST_CHECK err_code output_reserve(output *o, uint64_t bytes, err *e);
MUST_CHECK err_code output_write(output *o, uint64_t off, const void *data, uint64_t bytes, err *e);

/* fsync; its failure is final, the kernel may have dropped the data. */
MUST_CHECK err_code output_sync(output *o, err *e);

/* The descriptor, open for reading too, and the name of the temporary file; owned by the output. */
int output_descriptor(const output *o);
const char *output_part_path(const output *o);

/* Give the file its name, with the permissions of the file that it replaces or those that the umask
 * leaves of 0666. Releases *o once it has that name, even if the directory cannot be synced then.
 * ERR_IO also if the temporary file is gone, or another one has its name. */
MUST_CHECK err_code output_commit(output **o, err *e);

void output_abandon(output **o); /* a NULL output is fine */

/* All of it for a new file that is in memory. */
MUST_CHECK err_code output_write_file(const char *path, const void *data, uint64_t bytes, err *e);

#endif
