/* The files of our runs in a directory that is made, emptied or replaced: at its top, and in
 * directories at its top. Names are NAME or DIR/NAME; links are never followed.
 *
 *     const own_tree t = {fd, path, is_own, ctx};
 *     char foreign[OWN_NAME_BYTES];
 *     own_tree_list(&t, &names, foreign, e);           what is ours, and "" or what is not
 *     own_tree_remove(fd, path, &names, NULL, e);
 *
 *     own_tree_put(fd, path, "templates/a.jinja", data, bytes, e);
 *
 * For the other files of this folder. One thread. */
#ifndef OWN_TREE_H
#define OWN_TREE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/file/dir_list.h"

enum { OWN_NAME_BYTES = 2 * (NAME_MAX + 1) };

typedef struct own_tree {
    int fd;           /* the directory */
    const char *path; /* for messages */
    /* Could one of our runs have made this file? "DIR/" asks whether it could have made a file in
     * DIR. */
    bool (*is_own)(const void *ctx, const char *name);
    const void *ctx;
} own_tree;

/* List the files that are ours, sorted, and as "DIR/" their directories; free `out` with
 * dir_list_free, also after an error. foreign: the first name, by bytes, that is not ours; "" if
 * there is none. ERR_IO, ERR_MEMORY. */
MUST_CHECK err_code own_tree_list(const own_tree *t, dir_list *out, char foreign[OWN_NAME_BYTES],
                                  err *e);

/* Remove what own_tree_list listed, except the file `last`, which may be NULL. What has disappeared
 * is no error. Allocates nothing: it may follow a step that cannot be undone. ERR_IO. */
MUST_CHECK err_code own_tree_remove(int fd, const char *path, const dir_list *names,
                                    const char *last, err *e);

/* Remove these files and the directories that they are in, without a list of what is there: for a run
 * that has no memory to list it. Allocates nothing; what cannot be removed stays. */
void own_tree_remove_named(int fd, const char *const *names, size_t count);

/* Is this entry of the list a directory? */
bool own_name_is_directory(const char *name);

/* Split DIR/NAME: `dir` gets DIR. Returns NAME, "" for "DIR/", NULL if the name has no directory. */
const char *own_name_split(const char *name, char dir[NAME_MAX + 1]);

/* Create a file DIR/NAME that does not exist yet, and DIR if need be, below the directory `fd`; both
 * are synced. ERR_IO. */
MUST_CHECK err_code own_tree_put(int fd, const char *path, const char *name, const void *data,
                                 uint64_t bytes, err *e);

#endif
