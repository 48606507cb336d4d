/* The files of our runs in a directory that is made, emptied or replaced: at its top, and in
 * directories at its top. Names are NAME or DIR/NAME; links are never followed.
 *
 *     const own_tree t = {fd, path, is_own, ctx};
 *     char foreign[OWN_NAME_BYTES];
 *     own_tree_visit(&t, OWN_CHECK, NULL, foreign, e);        "" or what is not ours
 *     own_tree_visit(&t, OWN_REMOVE, "list.json", foreign, e);
 *
 *     own_tree_put(fd, path, "templates/a.jinja", data, bytes, e);
 *
 * For the other files of this folder. One thread. */
#ifndef OWN_TREE_H
#define OWN_TREE_H

#include <limits.h>
#include <stdbool.h>
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

typedef enum own_visit { OWN_CHECK, OWN_REMOVE } own_visit;

/* Look at all entries; with OWN_REMOVE remove those that are ours, except `last`, which may be NULL.
 * foreign: the first name, by bytes, that is not ours, which stays; "" if there is none. ERR_IO,
 * ERR_MEMORY. */
MUST_CHECK err_code own_tree_visit(const own_tree *t, own_visit visit, const char *last,
                                   char foreign[OWN_NAME_BYTES], err *e);

/* The names of all files that are ours, sorted; free with dir_list_free, also after an error. */
MUST_CHECK err_code own_tree_list(const own_tree *t, dir_list *out, err *e);

/* Split DIR/NAME: `dir` gets DIR. Returns NAME, NULL if the name has no directory. */
const char *own_name_split(const char *name, char dir[NAME_MAX + 1]);

/* Create a file DIR/NAME that does not exist yet, and DIR if need be, below the directory `fd`; both
 * are synced. ERR_IO. */
MUST_CHECK err_code own_tree_put(int fd, const char *path, const char *name, const void *data,
                                 uint64_t bytes, err *e);

#endif
