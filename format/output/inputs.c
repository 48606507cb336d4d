#include "format/output/inputs.h"

#include <stdlib.h>

#include "format/output/output.h"

bool input_is(const char *path, const struct stat *st)
{
    struct stat other;
    return path && stat(path, &other) == 0 && other.st_dev == st->st_dev &&
           other.st_ino == st->st_ino;
}

err_code inputs_spare(const char *path, input_test *is_input, const void *ctx, err *e)
{
    struct stat st;
    if (stat(path, &st) == 0 && is_input(ctx, &st)) {
        return err_set(e, ERR_USAGE, "%s: the output is one of the inputs", path);
    }
    char *const part = output_part_name(path);
    if (!part) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    const bool lost = stat(part, &st) == 0 && is_input(ctx, &st);
    if (lost) {
        err_set(e, ERR_USAGE, "%s: an input has the name of the output's temporary file", part);
    }
    free(part);
    return lost ? ERR_USAGE : OK;
}
