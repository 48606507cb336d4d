#include "format/output/part_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/file/io.h"

enum { ALL_BITS = 07777, OTHERS_WRITE = 022, PROBES = 8 };

err_code part_owner_refuse(const part *p, const char *what, err *e)
{
    err_set(e, ERR_IO, "%s: %s", p->name, what);
    err_hint(e, "remove it if no other run is writing it");
    return ERR_IO;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- the owner of new files ------------------------------------ */

/* A run that was killed while it had a probe has left it, empty. Nothing else is removed. */
static bool remove_left_probe(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 && st.st_nlink == 1 &&
           unlink(path) == 0;
}

static int create_probe(const char *path)
{
    int fd = -1;
    for (int i = 0; i < PROBES && fd < 0; i++) {
        fd = io_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && (errno != EEXIST || !remove_left_probe(path))) {
            return -1;
        }
    }
    return fd;
}

/* Runs may remove each other's probes: only the descriptor counts. If it cannot be found out what has
 * the name, it is the probe: it was created just now. */
static err_code finish_probe(int fd, const char *path, struct stat *st, err *e)
{
    struct stat named;
    const int failure = fstat(fd, st) == 0 ? 0 : errno;
    close(fd);
    const bool is_ours = failure || lstat(path, &named) != 0 || same_file(st, &named);
    if (is_ours && unlink(path) != 0 && errno != ENOENT) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot remove", path);
    }
    return failure ? err_set_errno(e, ERR_IO, failure, "%s: cannot stat", path) : OK;
}

/* The owner and the mode of a file created beside `p`. */
static err_code probe(const part *p, struct stat *st, err *e)
{
    char *const path = io_join(p->around, PART_PROBE);
    err_code code = OK;
    TRY_OUT(path ? OK : err_set(e, ERR_MEMORY, "%s: no memory", p->name));
    const int fd = create_probe(path);
    if (fd < 0) {
        code = err_set_errno(e, ERR_IO, errno, "%s: cannot create", path);
        goto out;
    }
    code = finish_probe(fd, path, st, e);
out:
    free(path);
    return code;
}

/* ---- the rules ------------------------------------------------- */

/* Without RENAME_NOREPLACE a file is published by link and unlink: was a run killed between them? */
static bool is_published(const part *p, const struct stat *st)
{
    struct stat named;
    return p->kind == PART_FILE && st->st_nlink > 1 && lstat(p->path, &named) == 0 &&
           same_file(st, &named);
}

static err_code refuse_mode(const part *p, const struct stat *st, err *e)
{
    err_set(e, ERR_IO, "%s: has mode %04o, so others may have opened it", p->name,
            (unsigned)st->st_mode & ALL_BITS);
    err_hint(e, "remove it if no other run is writing it");
    return ERR_IO;
}

/* A file may be open in another process for as long as that runs, so it is never used again. Some
 * file systems give all files the same mode, which `fresh` then also has. */
static err_code check_file_mode(const part *p, const struct stat *st, const struct stat *fresh,
                                part_use *use, err *e)
{
    const mode_t wider = st->st_mode & ALL_BITS & ~(0600U | fresh->st_mode);
    if (wider == 0) {
        *use = PART_TAKE;
        return OK;
    }
    *use = PART_REMOVE;
    return (st->st_mode & ALL_BITS) == p->mode ? OK : refuse_mode(p, st, e);
}

/* Whoever has a directory open can do nothing in it once its mode is 0700 again; what he put into it
 * before is found when it is emptied. */
static err_code check_directory_mode(const part *p, const struct stat *st, const struct stat *fresh,
                                     err *e)
{
    const mode_t mode = st->st_mode & ALL_BITS & ~(mode_t)S_ISGID;
    return (mode & OTHERS_WRITE & ~fresh->st_mode) == 0 || mode == p->mode ? OK
                                                                           : refuse_mode(p, st, e);
}

err_code part_owner_check(const part *p, const struct stat *st, part_use *use, err *e)
{
    struct stat fresh;
    TRY(probe(p, &fresh, e));
    if (st->st_uid != fresh.st_uid) {
        err_set(e, ERR_IO, "%s: belongs to user %u, a new file here belongs to user %u", p->name,
                (unsigned)st->st_uid, (unsigned)fresh.st_uid);
        err_hint(e, "remove it, or have its owner remove it");
        return ERR_IO;
    }
    if (is_published(p, st)) {
        *use = PART_REMOVE;
        return OK;
    }
    if (p->kind == PART_DIRECTORY) {
        *use = PART_TAKE;
        return check_directory_mode(p, st, &fresh, e);
    }
    return st->st_nlink == 1 ? check_file_mode(p, st, &fresh, use, e)
                             : part_owner_refuse(p, "has another name as well", e);
}
