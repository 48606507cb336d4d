#include "format/output/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/output/mapped_output.h"
#include "format/output/output_pipe.h"

struct output {
    char *path; /* the final name */
    char *dir;
    char *part; /* the temporary name, in the same directory */
    int fd, dir_fd;
    bool force;
    mapped_output *memory; /* where the file lies in memory */
    output_pipe *stream;   /* NULL: a file; else there is no descriptor */
};

static void output_free(output *o)
{
    mapped_output_close(o->memory);
    o->memory = NULL;
    if (o->stream && output_pipe_close(&o->stream, NULL) != OK) {
        /* Of an output that is abandoned: there is a worse error already. */
        o->stream = NULL;
    }
    if (o->fd >= 0) {
        close(o->fd);
    }
    if (o->dir_fd >= 0) {
        close(o->dir_fd);
    }
    free(o->path);
    free(o->dir);
    free(o->part);
    free(o);
}

char *output_part_name(const char *path)
{
    char *part = NULL;
    const char *const name = io_basename(path);
    const int length = asprintf(&part, "%.*s.%s.part", (int)(name - path), path, name);
    return length < 0 ? NULL : part;
}

bool output_stands_for(const char *entry, const char *name)
{
    const size_t length = strlen(name);
    return strcmp(entry, name) == 0 || (entry[0] == '.' && strncmp(entry + 1, name, length) == 0 &&
                                        strcmp(entry + 1 + length, ".part") == 0);
}

static err_code make_names(output *o, const char *path, err *e)
{
    const char *const name = io_basename(path);
    const size_t dir_length = (size_t)(name - path);
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return err_set(e, ERR_IO, "%s: not the name of a file", path);
    }
    o->path = strdup(path);
    o->dir = dir_length > 0 ? strndup(path, dir_length) : strdup(".");
    o->part = output_part_name(path);
    return o->path && o->dir && o->part ? OK : err_set(e, ERR_MEMORY, "%s: no memory", path);
}

/* A link is replaced itself, but not one that leads to a pipe or a device. */
static err_code check_existing(const char *path, bool force, err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    struct stat target;
    const bool leads_on = S_ISLNK(st.st_mode) && stat(path, &target) == 0;
    if (leads_on ? !S_ISREG(target.st_mode) : !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return err_set(e, ERR_IO, "%s: exists and is not a regular file", path);
    }
    if (!force) {
        err_set(e, ERR_IO, "%s: exists", path);
        err_hint(e, "-f replaces it");
        return ERR_IO;
    }
    return OK;
}

/* Does the temporary name lead to what is open? */
static bool has_its_name(const output *o)
{
    struct stat opened;
    struct stat named;
    return fstat(o->fd, &opened) == 0 && lstat(o->part, &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

static void remove_part(const output *o)
{
    if (has_its_name(o)) {
        unlink(o->part);
    }
}

/* Make the temporary file, or open what a killed run left. */
static err_code create_part(output *o, bool *created, err *e)
{
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    o->fd = open(o->part, flags | O_EXCL, 0600);
    *created = o->fd >= 0;
    if (o->fd < 0 && errno == EEXIST) {
        o->fd = open(o->part, flags, 0600);
    }
    return o->fd >= 0 ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot create", o->part);
}

/* Some network file systems know no locks: what this run has made is its own there as well, what it
 * found may be another's. */
static err_code lock_part(const output *o, bool created, err *e)
{
    if (flock(o->fd, LOCK_EX | LOCK_NB) == 0) {
        return OK;
    }
    if (errno == EWOULDBLOCK) {
        return err_set(e, ERR_IO, "%s: another run is writing it", o->part);
    }
    const bool no_locks = errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP;
    if (no_locks && created) {
        return OK;
    }
    err_set_errno(e, ERR_IO, errno, "%s: cannot lock", o->part);
    if (created) {
        remove_part(o);
    } else {
        err_hint(e, "remove it if no other run is writing it");
    }
    return ERR_IO;
}

/* Empty the file that is locked now. Who held it may have renamed or removed it in between; and a
 * file that has another name as well (one killed between link and unlink leaves that) is not ours
 * to empty. *again asks for another try then. */
static err_code empty_part(const output *o, bool *again, err *e)
{
    struct stat st;
    *again = !has_its_name(o);
    if (!*again && fstat(o->fd, &st) == 0 && st.st_nlink > 1) {
        *again = unlink(o->part) == 0;
        return *again ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot remove", o->part);
    }
    if (!*again && ftruncate(o->fd, 0) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot truncate", o->part);
    }
    return OK;
}

static err_code open_part(output *o, bool *again, err *e)
{
    struct stat st;
    bool created = false;
    *again = false;
    err_code code = create_part(o, &created, e);
    if (code != OK) {
        return code;
    }
    if (fstat(o->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        code = err_set(e, ERR_IO, "%s: not a regular file", o->part);
    }
    if (code == OK) {
        code = lock_part(o, created, e);
    }
    if (code == OK) {
        code = empty_part(o, again, e);
        if (code != OK) {
            remove_part(o);
        }
    }
    if (code != OK || *again) {
        close(o->fd);
        o->fd = -1;
    }
    return code;
}

/* Opened before there is anything to lose. Who may write into a directory may still not be allowed
 * to read it, and then cannot sync it. */
static err_code open_directory(output *o, err *e)
{
    o->dir_fd = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return o->dir_fd >= 0 || errno == EACCES
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory", o->dir);
}

/* All that can be found out before there is a temporary file. */
static err_code begin(const char *path, bool force, output **out, err *e)
{
    output *const o = calloc(1, sizeof *o);
    if (!o) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    o->fd = -1;
    o->dir_fd = -1;
    o->force = force;
    err_code code = make_names(o, path, e);
    if (code == OK) {
        code = check_existing(path, force, e);
    }
    if (code == OK) {
        code = open_directory(o, e);
    }
    if (code != OK) {
        output_free(o);
        return code;
    }
    *out = o;
    return OK;
}

err_code output_check(const char *path, bool force, err *e)
{
    output *o = NULL;
    const err_code code = begin(path, force, &o, e);
    if (code == OK) {
        output_free(o);
    }
    return code;
}

err_code output_open(const char *path, bool force, output **out, err *e)
{
    output *o = NULL;
    err_code code = begin(path, force, &o, e);
    if (code != OK) {
        return code;
    }
    for (bool again = true; code == OK && again;) {
        code = open_part(o, &again, e);
    }
    if (code != OK) {
        output_free(o);
        return code;
    }
    *out = o;
    return OK;
}

err_code output_open_stream(int fd, const char *name, const monitor *m, output **out, err *e)
{
    output *const o = calloc(1, sizeof *o);
    if (!o) {
        return err_set(e, ERR_MEMORY, "%s: no memory", name);
    }
    o->fd = -1;
    o->dir_fd = -1;
    o->part = strdup(name);
    err_code code = o->part ? OK : err_set(e, ERR_MEMORY, "%s: no memory", name);
    if (code == OK) {
        code = output_pipe_open(fd, o->part, m, &o->stream, e);
    }
    if (code != OK) {
        output_free(o);
        return code;
    }
    *out = o;
    return OK;
}

bool output_is_stream(const output *o)
{
    return o->stream != NULL;
}

/* Not posix_fallocate: where the file system has no such call, that writes every block. 0 or an
 * errno value. */
static int allocate(int fd, uint64_t bytes)
{
    int result = 0;
    do {
        result = fallocate(fd, 0, 0, (off_t)bytes);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

err_code output_reserve(output *o, uint64_t bytes, err *e)
{
    if (o->stream) {
        return OK;
    }
    mapped_output_close(o->memory);
    o->memory = NULL;
    int failure = mapped_output_open(o->fd, bytes, &o->memory);
    if (failure == 0 && !o->memory) {
        failure = allocate(o->fd, bytes);
    }
    if (failure == EOPNOTSUPP || failure == ENOSYS) {
        return ftruncate(o->fd, (off_t)bytes) == 0
                   ? OK
                   : err_set_errno(e, ERR_IO, errno, "%s: cannot extend to %llu bytes", o->part,
                                   (unsigned long long)bytes);
    }
    return failure == 0 ? OK
                        : err_set_errno(e, ERR_IO, failure, "%s: cannot reserve %llu bytes",
                                        o->part, (unsigned long long)bytes);
}

/* What is worth more than the few system calls of one write. */
enum { LARGE_WRITE = 1 << 18, HINTED_WRITE = 1 << 20 };

err_code output_write(output *o, uint64_t off, const void *data, uint64_t bytes, err *e)
{
    if (o->stream) {
        return output_pipe_write(o->stream, off, data, bytes, e);
    }
    const uint64_t room = o->memory ? mapped_output_bytes(o->memory) : 0;
    if (bytes >= LARGE_WRITE && bytes <= room && off <= room - bytes) {
        const int failure = mapped_output_write(o->memory, off, data, bytes);
        return failure == 0 ? OK
                            : err_set_errno(e, ERR_IO, failure, "%s: cannot write at offset %llu",
                                            o->part, (unsigned long long)off);
    }
    const err_code code = io_write_at(o->fd, o->part, off, data, bytes, e);
    if (code == OK && bytes >= HINTED_WRITE) {
        /* Start writing now, so that the fsync at the end does not find everything still to do. A
         * hint: not checked. */
        (void)sync_file_range(o->fd, (off_t)off, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
    }
    return code;
}

err_code output_sync(output *o, err *e)
{
    if (o->stream) {
        return output_pipe_sync(o->stream, e);
    }
    if (fsync(o->fd) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot sync", o->part);
    }
    return OK;
}

int output_descriptor(const output *o)
{
    return o->fd;
}

const char *output_part_path(const output *o)
{
    return o->part;
}

static err_code sync_directory(const output *o, err *e)
{
    /* Some file systems cannot sync directories and say EINVAL: nothing more can be done there. */
    if (o->dir_fd >= 0 && fsync(o->dir_fd) != 0 && errno != EINVAL) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot sync the directory", o->dir);
    }
    return OK;
}

static int rename_part(const output *o)
{
    if (o->force) {
        return rename(o->part, o->path);
    }
    const int result = renameat2(AT_FDCWD, o->part, AT_FDCWD, o->path, RENAME_NOREPLACE);
    if (result == 0 || (errno != EINVAL && errno != ENOSYS)) {
        return result;
    }
    /* The file system cannot do it in one step: link refuses an existing name as well. */
    if (link(o->part, o->path) == 0) {
        return unlink(o->part);
    }
    /* It cannot even do that: look first, and hope that nobody else comes in between. */
    struct stat st;
    if (errno != EEXIST && lstat(o->path, &st) != 0 && errno == ENOENT) {
        return rename(o->part, o->path);
    }
    errno = EEXIST;
    return -1;
}

static err_code commit_stream(output **out, err *e)
{
    const err_code code = output_pipe_close(&(*out)->stream, e);
    output_free(*out);
    *out = NULL;
    return code;
}

/* Those of the file that is replaced, so that what was private stays so; else what the umask
 * leaves. */
static mode_t permissions(const output *o)
{
    struct stat st;
    const mode_t mask = umask(0);
    umask(mask);
    return o->force && lstat(o->path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_mode & 0777
                                                                       : 0666 & ~mask;
}

err_code output_commit(output **out, err *e)
{
    output *const o = *out;
    if (o->stream) {
        return commit_stream(out, e);
    }
    if (!has_its_name(o)) { /* what has it now is not what was written here */
        return err_set(e, ERR_IO, "%s: removed or replaced meanwhile", o->part);
    }
    if (fchmod(o->fd, permissions(o)) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot set permissions", o->part);
    }
    if (rename_part(o) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot rename to %s", o->part, o->path);
    }
    const err_code code = sync_directory(o, e);
    output_free(o);
    *out = NULL;
    return code;
}

void output_abandon(output **out)
{
    output *const o = *out;
    if (!o) {
        return;
    }
    if (!o->stream) {
        remove_part(o);
    }
    output_free(o);
    *out = NULL;
}
