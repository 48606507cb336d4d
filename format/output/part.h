/* The temporary file or directory that becomes an output: its name, its lock, its renaming. What
 * output.h, output_dir.h and whole_dir.h have in common; nobody else includes this.
 *
 *     part p = PART_CLOSED;
 *     part_name_beside(&p, PART_FILE, path, "a file", e);   path, around, temporary name
 *     part_open_around(&p, e);                              before there is anything to lose
 *     part_open(&p, empty_it, ctx, e);                      made or found, locked, empty
 *     ... write, part_chmod, part_sync_directory ...
 *     part_rename(&p, replace, e);
 *     part_sync_around(&p, e);                              the rename is durable
 *     part_close(&p);
 *
 * The lock decides who writes: of several runs one has it, and what a killed run left is nobody's.
 * A name is looked at again once the lock is there, since whoever had it before may have renamed or
 * removed what is open (part_has_its_name); so nothing is ever removed, emptied or published that
 * another run has put in its place. Errors are ERR_IO, and ERR_MEMORY for names. One thread. */
#ifndef PART_H
#define PART_H

#include <stdbool.h>
#include <sys/types.h>

#include "format/base/err.h"

typedef enum part_kind { PART_FILE, PART_DIRECTORY } part_kind;

typedef struct part {
    part_kind kind;
    char *path;    /* the final name */
    char *around;  /* the directory that the temporary name lies in */
    char *name;    /* the temporary name */
    int fd;        /* of what has the temporary name; -1: not open */
    int around_fd; /* for fsync; -1: not open, or not allowed */
} part;

#define PART_CLOSED ((part){.fd = -1, .around_fd = -1})

/* "dir/.NAME.part" for "dir/NAME", in fresh memory; NULL without memory. */
char *part_name_of(const char *path);

/* The temporary name lies beside the final one. `what` says in messages what that should name: "a
 * file". */
MUST_CHECK err_code part_name_beside(part *p, part_kind kind, const char *path, const char *what,
                                     err *e);

/* The temporary name is `name` within the directory `path`. */
MUST_CHECK err_code part_name_inside(part *p, part_kind kind, const char *path, const char *name,
                                     err *e);

/* Who may write into a directory may still not be allowed to read it; around_fd is -1 then. */
MUST_CHECK err_code part_open_around(part *p, err *e);

/* Make what part_open has locked empty: it is `created` just now, or a killed run left it. *again:
 * it is out of the way, and another one has to be opened. */
typedef err_code (*part_empty_fn)(void *ctx, bool created, bool *again, err *e);

/* Create what has the temporary name, or open what is there; lock it; have it emptied. Locks are
 * not known to some network file systems: what was created just now is ours there as well, what was
 * found may be another's. */
MUST_CHECK err_code part_open(part *p, part_empty_fn empty, void *ctx, err *e);

/* Does the temporary name lead to what is open? */
bool part_has_its_name(const part *p);

/* Remove a file, or a directory that is empty, if it has its name. False: it is still there. */
bool part_remove(const part *p);

/* 0666 or 0777 without what the umask takes. */
mode_t part_mode(mode_t all);
MUST_CHECK err_code part_chmod(const part *p, mode_t mode, err *e);

/* Give it the final name. Without `replace` a name that has been taken meanwhile stays as it is. */
MUST_CHECK err_code part_rename(const part *p, bool replace, err *e);

/* The same within directories for one entry; 0, or -1 with errno. */
int part_rename_new(int from_dir, const char *from, int to_dir, const char *to);

/* fsync of a directory, whose path is for messages. Fine where that cannot be done: fd is -1, or
 * the file system does not know it. */
MUST_CHECK err_code part_sync_directory(int fd, const char *path, err *e);
MUST_CHECK err_code part_sync_around(const part *p, err *e);

void part_close(part *p); /* closes and frees; removes nothing */

#endif
