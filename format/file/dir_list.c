#include "format/file/dir_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/file/io.h"

static int compare(const void *a, const void *b)
{
    char *const *x = a;
    char *const *y = b;
    return strcmp(*x, *y);
}

bool dir_list_add(dir_list *l, const char *name)
{
    if (l->count == l->capacity) {
        const size_t more = l->capacity ? 2 * l->capacity : 64;
        char **grown = realloc(l->names, more * sizeof *grown);
        if (!grown) {
            return false;
        }
        l->names = grown;
        l->capacity = more;
    }
    l->names[l->count] = strdup(name);
    if (!l->names[l->count]) {
        return false;
    }
    l->count++;
    return true;
}

static err_code read_entries(DIR *d, const char *dir, dir_list *l, err *e)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(d);
        if (!entry) {
            return errno ? err_set_errno(e, ERR_IO, errno, "%s: cannot read directory", dir) : OK;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !dir_list_add(l, entry->d_name)) {
            return err_set(e, ERR_MEMORY, "%s: no memory for the names in it", dir);
        }
    }
}

void dir_list_sort(dir_list *l)
{
    if (l->count > 1) {
        qsort(l->names, l->count, sizeof *l->names, compare);
    }
}

void dir_list_drop_repeated(dir_list *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (kept > 0 && strcmp(l->names[kept - 1], l->names[i]) == 0) {
            free(l->names[i]);
        } else {
            l->names[kept++] = l->names[i];
        }
    }
    l->count = kept;
}

/* Read all entries of `d`, which may be NULL with errno set, and close it. */
static err_code read_all(DIR *d, const char *dir, dir_list *out, err *e)
{
    *out = (dir_list){0};
    if (!d) {
        const int why = errno;
        const err_code code = err_set_errno(e, ERR_IO, why, "%s: cannot open directory", dir);
        io_hint_withheld(dir, why, e);
        return code;
    }
    const err_code code = read_entries(d, dir, out, e);
    closedir(d);
    dir_list_sort(out);
    return code;
}

err_code dir_list_read(const char *dir, dir_list *out, err *e)
{
    DIR *d = opendir(dir);
    while (!d && errno == EINTR) {
        d = opendir(dir);
    }
    return read_all(d, dir, out, e);
}

/* A descriptor of its own, so that every reading starts at the first entry. */
err_code dir_list_read_at(int fd, const char *dir, dir_list *out, err *e)
{
    const int copy = io_openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *const d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d && copy >= 0) {
        const int why = errno;
        close(copy);
        errno = why;
    }
    return read_all(d, dir, out, e);
}

bool dir_list_has(const dir_list *l, const char *name)
{
    return l->count > 0 && bsearch(&name, l->names, l->count, sizeof *l->names, compare);
}

void dir_list_free(dir_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->names[i]);
    }
    free(l->names);
    *l = (dir_list){0};
}
