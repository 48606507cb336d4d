/* Refuses an output that would replace an input, even with -f: neither the output's own name, with
 * links followed, nor that of its temporary file may be an input.
 *
 *     static bool is_input(const void *ctx, const struct stat *st)
 *     {
 *         const job *const j = ctx;
 *         return input_is(j->recipe_path, st) || input_is_of_checkpoint(j->cp, st);
 *     }
 *     inputs_spare(output, is_input, job, e);         before anything is written
 *
 * Two names are the same file if device and inode are equal. */
#ifndef INPUTS_H
#define INPUTS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "format/base/err.h"

typedef bool input_test(const void *ctx, const struct stat *st);

/* Is this the file at `path`? False if `path` is NULL or does not exist. */
bool input_is(const char *path, const struct stat *st);

/* ERR_USAGE if `path`, or the temporary file of output_open, would replace an input; ERR_MEMORY;
 * ERR_IO if that cannot be found out. A directory that does not exist is no error here: output_open
 * reports it. */
MUST_CHECK err_code inputs_spare(const char *path, input_test *is_input, const void *ctx, err *e);

#endif
