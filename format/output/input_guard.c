#include "format/output/input_guard.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "format/file/io.h"
#include "format/file/dir_list.h"
#include "format/output/output.h"

static err_code no_memory(const char *path, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", path);
}

static err_code cannot_stat(const char *path, err *e)
{
    return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
}

/* Or nothing can be made there; opening the output reports that. */
static bool is_missing(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ELOOP || error == EACCES ||
           error == ENAMETOOLONG;
}

static err_code refuse(int fd, const char *path, err *e)
{
    struct stat in;
    struct stat other;
    TRY(fstat(fd, &in) == 0 ? OK : cannot_stat("the packed file", e));
    if (stat(path, &other) != 0) {
        return is_missing(errno) ? OK : cannot_stat(path, e);
    }
    return other.st_dev == in.st_dev && other.st_ino == in.st_ino
               ? err_set(e, ERR_USAGE, "%s: is the packed file itself", path)
               : OK;
}

err_code input_guard_file(int fd, const char *path, err *e)
{
    char *const part = output_part_name(path);
    err_code code = OK;
    TRY_OUT(part ? OK : no_memory(path, e));
    TRY_OUT(refuse(fd, path, e));
    TRY_OUT(refuse(fd, part, e));
out:
    free(part);
    return code;
}

static err_code refuse_entry(int fd, const char *dir, const char *name, bool below, err *e);

/* Check the files in a directory and, with `below`, in the directories in it. */
static err_code guard_files(int fd, const char *path, bool below, err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return is_missing(errno) ? OK : cannot_stat(path, e);
    }
    if (!S_ISDIR(st.st_mode)) {
        return OK;
    }
    dir_list names = {0};
    err_code code = OK;
    TRY_OUT(dir_list_read(path, &names, e));
    for (size_t i = 0; i < names.count; i++) {
        TRY_OUT(refuse_entry(fd, path, names.names[i], below, e));
    }
out:
    dir_list_free(&names);
    return code;
}

static err_code refuse_entry(int fd, const char *dir, const char *name, bool below, err *e)
{
    char *const file = io_join(dir, name);
    err_code code = OK;
    TRY_OUT(file ? refuse(fd, file, e) : no_memory(dir, e));
    TRY_OUT(below ? guard_files(fd, file, false, e) : OK);
out:
    free(file);
    return code;
}

err_code input_guard_directory(int fd, const char *path, err *e)
{
    return guard_files(fd, path, true, e);
}

err_code input_guard_beside(int fd, const char *path, err *e)
{
    char *const name = io_without_slashes(path);
    char *const part = name ? output_part_name(name) : NULL;
    const err_code code = part ? input_guard_directory(fd, part, e) : no_memory(path, e);
    free(name);
    free(part);
    return code;
}
