#include "format/output/inputs.h"

#include <errno.h>
#include <stdlib.h>

#include "format/output/output.h"

/* Is there nothing that could have been read? A link may lead in a circle, or where this user may not
 * look; any other failure says nothing about what is there. */
static bool leads_nowhere(int why)
{
    return why == ENOENT || why == ENOTDIR || why == ELOOP || why == EACCES || why == ENAMETOOLONG;
}

err_code input_is(const char *path, const struct stat *st, bool *is_one, err *e)
{
    struct stat other;
    if (!path) {
        return OK;
    }
    if (stat(path, &other) != 0) {
        return leads_nowhere(errno) ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    *is_one = *is_one || (other.st_dev == st->st_dev && other.st_ino == st->st_ino);
    return OK;
}

/* *is_one: something is at `path`, and it is an input. */
static err_code look_up(const char *path, input_test *is_input, const void *ctx, bool *is_one,
                        err *e)
{
    struct stat st;
    *is_one = false;
    if (stat(path, &st) == 0) {
        return is_input(ctx, &st, is_one, e);
    }
    return leads_nowhere(errno) ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
}

err_code inputs_spare(const char *path, input_test *is_input, const void *ctx, err *e)
{
    char *const part = output_part_name(path);
    bool lost = false;
    err_code code = OK;
    TRY_OUT(part ? OK : err_set(e, ERR_MEMORY, "%s: no memory", path));
    TRY_OUT(look_up(path, is_input, ctx, &lost, e));
    TRY_OUT(lost ? err_set(e, ERR_USAGE, "%s: the output is one of the inputs", path) : OK);
    TRY_OUT(look_up(part, is_input, ctx, &lost, e));
    TRY_OUT(lost ? err_set(e, ERR_USAGE, "%s: an input has the name of the output's temporary file",
                           part)
                 : OK);
out:
    free(part);
    return code;
}
