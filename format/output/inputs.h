/* Refuses an output that would replace an input, even with -f: neither the output's own name, with
 * links followed, nor that of its temporary file may be an input.
 *
 *     static err_code is_input(const void *ctx, const struct stat *st, bool *is_one, err *e)
 *     {
 *         const job *const j = ctx;
 *         TRY(input_is(j->recipe_path, st, is_one, e));
 *         return input_is_of_checkpoint(j->cp, st, is_one, e);
 *     }
 *     inputs_spare(output, is_input, job, e);         before anything is written
 *
 * Two names are the same file if device and inode are equal. */
#ifndef INPUTS_H
#define INPUTS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "format/base/err.h"

/* Sets *is_one if `st` is that of an input, and leaves it alone otherwise, so that tests can follow
 * each other. What cannot be found out is an error, never a no: an input could be replaced. */
typedef err_code input_test(const void *ctx, const struct stat *st, bool *is_one, err *e);

/* Is this the file at `path`? Not if `path` is NULL or does not exist. ERR_IO. */
MUST_CHECK err_code input_is(const char *path, const struct stat *st, bool *is_one, err *e);

/* ERR_USAGE if `path`, or the temporary file of output_open, would replace an input; ERR_MEMORY;
 * ERR_IO if that cannot be found out. A directory that does not exist is no error here: output_open
 * reports it. */
MUST_CHECK err_code inputs_spare(const char *path, input_test *is_input, const void *ctx, err *e);

#endif
