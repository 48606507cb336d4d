#include "format/file/dir_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    char *const *x = a;
    char *const *y = b;
    return strcmp(*x, *y);
}

static bool append(dir_list *l, size_t *capacity, const char *name)
{
    if (l->count == *capacity) {
        const size_t more = *capacity ? 2 * *capacity : 64;
        char **grown = realloc(l->names, more * sizeof *grown);
        if (!grown) {
            return false;
        }
        l->names = grown;
        *capacity = more;
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
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(d);
        if (!entry) {
            return errno ? err_set_errno(e, ERR_IO, errno, "%s: cannot read directory", dir) : OK;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !append(l, &capacity, entry->d_name)) {
            return err_set(e, ERR_MEMORY, "%s: no memory for the names in it", dir);
        }
    }
}

err_code dir_list_read(const char *dir, dir_list *out, err *e)
{
    *out = (dir_list){0};
    DIR *d = opendir(dir);
    if (!d) {
        return err_set_errno(e, errno == ENOMEM ? ERR_MEMORY : ERR_IO, errno,
                             "%s: cannot open directory", dir);
    }
    const err_code code = read_entries(d, dir, out, e);
    closedir(d);
    if (out->count > 1) {
        qsort(out->names, out->count, sizeof *out->names, compare);
    }
    return code;
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
