/* The temporary file or directory that becomes an output: its name, its lock, its renaming. The
 * common core of output.h, output_dir.h, whole_dir.h and own_tree.h; nobody else includes this header.
 *
 *     part p = PART_CLOSED;
 *     part_name_beside(&p, PART_FILE, path, "a file", e);   path, around, temporary name
 *     part_open_around(&p, e);                              the directory, before anything is made
 *     part_open(&p, empty_it, ctx, e);                      created or found, locked, empty
 *     ... write, part_chmod, then sync it: the mode has to be durable too ...
 *     part_rename(&p, replace, e);
 *     part_sync_around(&p, e);                              the rename is durable
 *     part_close(&p);
 *
 * The lock decides who writes: one of several runs holds it, and the system drops it when a run is
 * killed, so that the next one can take over what that left. The name is checked again after the
 * lock is taken, because the run that held it before may have renamed or removed the file
 * (part_check_name); so a file that another run has put under this name is never removed, emptied
 * or published.
 *
 * Until the end only the owner may access it, and what somebody else has put under the name in
 * advance is refused (part_owner.h). Errors are ERR_IO, and ERR_MEMORY for names. One thread. */
#ifndef PART_H
#define PART_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/types.h>

#include "format/base/err.h"

typedef enum part_kind { PART_FILE, PART_DIRECTORY } part_kind;

typedef struct part {
    part_kind kind;
    char *path;    /* the final name */
    char *around;  /* the directory that holds the temporary name */
    char *name;    /* the temporary name */
    int at;        /* the open directory that has the last components of these names, or AT_FDCWD */
    mode_t mode;   /* that it will have in the end; the caller sets it before part_open */
    int fd;        /* the open and locked file or directory of that name; -1: not open */
    int around_fd; /* of `around`, for fsync; -1: not open, or not readable */
    dev_t device;  /* of the open file */
    ino_t inode;
} part;

#define PART_CLOSED ((part){.at = AT_FDCWD, .fd = -1, .around_fd = -1})

/* An empty file, created beside a part for a moment, that shows who owns new files. */
#define PART_PROBE ".octavo.probe"

/* "dir/.NAME.part" for "dir/NAME". The caller frees it; NULL if memory is short. */
char *part_name_of(const char *path);

/* Put the temporary name next to the final one. `what` is what `path` should name, for messages: "a
 * file". */
MUST_CHECK err_code part_name_beside(part *p, part_kind kind, const char *path, const char *what,
                                     err *e);

/* The temporary name is `name` inside the directory `path`. */
MUST_CHECK err_code part_name_inside(part *p, part_kind kind, const char *path, const char *name,
                                     err *e);

/* The temporary file and its final name are entries of `dir`, an open directory that was empty and is
 * nobody else's; `dir_path` is its path, for messages. `dir` stays the caller's. */
MUST_CHECK err_code part_name_in(part *p, int dir, const char *dir_path, const char *name, err *e);

/* Open the directory for part_sync_around. A directory may be writable but not readable; around_fd
 * is -1 then, which is no error: part_sync_around knows another way. */
MUST_CHECK err_code part_open_around(part *p, err *e);

/* Empty what part_open has locked: it was `created` by this run, or left by a killed one. Set
 * *again if it was moved out of the way instead, and part_open has to try once more. */
typedef err_code (*part_empty_fn)(void *ctx, bool created, bool *again, err *e);

/* Create the file or directory of the temporary name, or open the one that a killed run left; lock
 * it; have it emptied by `empty`. After an error nothing that was created remains. If the file system
 * knows no locks, as some network file systems, what was created just now is ours anyway, and what was
 * found may be in use: ERR_IO. */
MUST_CHECK err_code part_open(part *p, part_empty_fn empty, void *ctx, err *e);

/* Lock what is about to get the temporary name, the old directory of an exchange: until it is removed,
 * another run must not take it for what a killed run left. The lock ends when `fd` is closed. ERR_IO:
 * another run has it. */
MUST_CHECK err_code part_lock_old(int fd, const char *path, err *e);

/* Remove the file or the empty directory, unless something else has its name now. False if it is
 * still there, or that cannot be found out. */
bool part_remove(const part *p);

/* `all`, 0666 or 0777, less the umask. Not while other threads create files: the umask can only be
 * read by setting it. */
mode_t part_mode(mode_t all);
MUST_CHECK err_code part_chmod(const part *p, mode_t mode, err *e);

/* ERR_IO if the temporary name was removed, or leads to something else. */
MUST_CHECK err_code part_check_name(const part *p, err *e);

/* Rename it to its final name, after part_check_name. Without `replace`, ERR_IO if somebody has
 * taken the final name since it was checked. */
MUST_CHECK err_code part_rename(const part *p, bool replace, err *e);

/* Rename one directory entry without replacing another. Returns 0, or -1 and sets errno. */
int part_rename_new(int from_dir, const char *from, int to_dir, const char *to);

/* fsync a directory, whose path is for messages. OK without doing anything if the file system cannot
 * sync directories. */
MUST_CHECK err_code part_sync_directory(int fd, const char *path, err *e);

/* The same for a directory on the file system of the open part that may be written but not read: the
 * whole file system is synced, since such a directory cannot be opened for fsync. */
MUST_CHECK err_code part_sync_unreadable(const part *p, const char *path, err *e);

/* The names in `around` are durable, whether it is readable or not. The part must be open. */
MUST_CHECK err_code part_sync_around(const part *p, err *e);

void part_close(part *p); /* closes and frees; removes nothing */

#endif
