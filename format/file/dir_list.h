/* The names in a directory, sorted by bytes, so that no result depends on the order in which a file
 * system keeps them.
 *
 *     dir_list l;
 *     dir_list_read(dir, &l, e);
 *     if (dir_list_has(&l, "config.json")) ...
 *     dir_list_free(&l);
 */
#ifndef DIR_LIST_H
#define DIR_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

typedef struct dir_list {
    char **names; /* without "." and ".." */
    size_t count, capacity;
} dir_list;

/* ERR_IO if `dir` cannot be read. Free with dir_list_free, also after an error. */
MUST_CHECK err_code dir_list_read(const char *dir, dir_list *out, err *e);

/* The same for an open directory, of which only the descriptor counts; `dir` is for messages. */
MUST_CHECK err_code dir_list_read_at(int fd, const char *dir, dir_list *out, err *e);

/* Lists made by hand: add a copy of a name (false: no memory), sort at the end, and, of a sorted list,
 * drop names that occur more than once. */
bool dir_list_add(dir_list *l, const char *name);
void dir_list_sort(dir_list *l);
void dir_list_drop_repeated(dir_list *l);

bool dir_list_has(const dir_list *l, const char *name);

void dir_list_free(dir_list *l);

#endif
