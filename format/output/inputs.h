/* An output replaces no input, whatever -f says: neither under its own name, through links or not,
 * nor under the name of its temporary file.
 *
 *     static bool is_input(const void *ctx, const struct stat *st)
 *     {
 *         const job *const j = ctx;
 *         return input_is(j->recipe_path, st) || input_is_of_checkpoint(j->cp, st);
 *     }
 *     inputs_spare(output, is_input, job, e);         before anything is written
 *
 * Files are the same if device and inode are. */
#ifndef INPUTS_H
#define INPUTS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "format/base/err.h"

typedef bool input_test(const void *ctx, const struct stat *st);

/* Is it the file at `path`? What is not there, or NULL, is no file's. */
bool input_is(const char *path, const struct stat *st);

/* ERR_USAGE: what `path`, or the temporary file of output_open, would replace is an input;
 * ERR_MEMORY. What is not there, output_open finds out. */
MUST_CHECK err_code inputs_spare(const char *path, input_test *is_input, const void *ctx, err *e);

#endif
