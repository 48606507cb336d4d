#include "format/output/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/output/mapped_output.h"
#include "format/output/output_pipe.h"
#include "format/output/part.h"

struct output {
    part p; /* of a stream: the name alone, for messages */
    bool force;
    mapped_output *memory; /* if the file lives in memory (tmpfs), else NULL */
    output_pipe *stream;   /* NULL: a file; otherwise there is no descriptor */
};

static void output_free(output *o)
{
    mapped_output_close(o->memory);
    o->memory = NULL;
    if (o->stream && output_pipe_close(&o->stream, NULL) != OK) {
        /* The output is abandoned because of an earlier error, which is the one to report. */
        o->stream = NULL;
    }
    part_close(&o->p);
    free(o);
}

char *output_part_name(const char *path)
{
    return part_name_of(path);
}

bool output_stands_for(const char *entry, const char *name)
{
    const size_t length = strlen(name);
    return strcmp(entry, name) == 0 || (entry[0] == '.' && strncmp(entry + 1, name, length) == 0 &&
                                        strcmp(entry + 1 + length, ".part") == 0);
}

bool output_plain_name(const char *entry, char *plain)
{
    static const char ending[] = ".part";
    const size_t end = sizeof ending - 1;
    const size_t bytes = strlen(entry);
    if (entry[0] != '.' || bytes <= 1 + end || strcmp(entry + bytes - end, ending) != 0) {
        return false;
    }
    memcpy(plain, entry + 1, bytes - end - 1);
    plain[bytes - end - 1] = '\0';
    return true;
}

/* *found: the link leads to something. */
static err_code stat_target(const char *path, struct stat *target, bool *found, err *e)
{
    *found = stat(path, target) == 0;
    const bool dangling = errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES;
    return *found || dangling
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot stat what it leads to", path);
}

/* A symbolic link is replaced itself, not its target; a link to a pipe or a device is refused,
 * since whoever made it wants the data there. */
static err_code check_existing(const char *path, bool force, err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    struct stat target;
    bool has_target = false;
    TRY(S_ISLNK(st.st_mode) ? stat_target(path, &target, &has_target, e) : OK);
    if (has_target ? !S_ISREG(target.st_mode) : !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return err_set(e, ERR_IO, "%s: exists and is not a regular file", path);
    }
    if (!force) {
        err_set(e, ERR_IO, "%s: exists", path);
        err_hint(e, "-f replaces it");
        return ERR_IO;
    }
    return OK;
}

/* Empty the file that is locked. */
static err_code empty_file(void *ctx, bool created, bool *again, err *e)
{
    const part *const p = ctx;
    (void)again;
    return created || ftruncate(p->fd, 0) == 0
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot truncate", p->name);
}

/* The permissions of the file that is replaced, so that a private file stays private; otherwise
 * 0666 less the umask. */
static err_code permissions(const output *o, mode_t *mode, err *e)
{
    struct stat st;
    *mode = part_mode(0666);
    if (!o->force) {
        return OK;
    }
    if (lstat(o->p.path, &st) != 0) {
        return errno == ENOENT ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", o->p.path);
    }
    *mode = S_ISREG(st.st_mode) ? st.st_mode & 0777 : *mode;
    return OK;
}

/* Everything that can be checked before there is a temporary file. */
static err_code begin(const char *path, bool force, output **out, err *e)
{
    output *const o = calloc(1, sizeof *o);
    if (!o) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    *o = (output){.p = PART_CLOSED, .force = force};
    err_code code = OK;
    TRY_OUT(part_name_beside(&o->p, PART_FILE, path, "a file", e));
    TRY_OUT(check_existing(path, force, e));
    TRY_OUT(part_open_around(&o->p, e));
    *out = o;
    return OK;
out:
    output_free(o);
    return code;
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
    err_code code = OK;
    TRY(begin(path, force, &o, e));
    TRY_OUT(permissions(o, &o->p.mode, e));
    TRY_OUT(part_open(&o->p, empty_file, &o->p, e));
    *out = o;
    return OK;
out:
    output_free(o);
    return code;
}

err_code output_open_in(const output_folder *folder, const char *name, output **out, err *e)
{
    output *const o = calloc(1, sizeof *o);
    if (!o) {
        return err_set(e, ERR_MEMORY, "%s/%s: no memory", folder->path, name);
    }
    o->p = PART_CLOSED;
    err_code code = OK;
    TRY_OUT(part_name_in(&o->p, folder->fd, folder->path, name, e));
    TRY_OUT(part_open_around(&o->p, e));
    TRY_OUT(part_open(&o->p, empty_file, &o->p, e));
    *out = o;
    return OK;
out:
    output_free(o);
    return code;
}

err_code output_open_stream(int fd, const char *name, const monitor *m, output **out, err *e)
{
    output *const o = calloc(1, sizeof *o);
    if (!o) {
        return err_set(e, ERR_MEMORY, "%s: no memory", name);
    }
    o->p = PART_CLOSED;
    o->p.name = strdup(name);
    err_code code = OK;
    TRY_OUT(o->p.name ? OK : err_set(e, ERR_MEMORY, "%s: no memory", name));
    TRY_OUT(output_pipe_open(fd, o->p.name, m, &o->stream, e));
    *out = o;
    return OK;
out:
    output_free(o);
    return code;
}

bool output_is_stream(const output *o)
{
    return o->stream != NULL;
}

/* Not posix_fallocate, which writes every block if the file system does not support the call.
 * Returns 0 or an errno value. */
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
    int failure = mapped_output_open(o->p.fd, bytes, &o->memory);
    if (failure == 0 && !o->memory) {
        failure = allocate(o->p.fd, bytes);
    }
    if (failure == EOPNOTSUPP || failure == ENOSYS) {
        return ftruncate(o->p.fd, (off_t)bytes) == 0
                   ? OK
                   : err_set_errno(e, ERR_IO, errno, "%s: cannot extend to %llu bytes", o->p.name,
                                   (unsigned long long)bytes);
    }
    return failure == 0 ? OK
                        : err_set_errno(e, ERR_IO, failure, "%s: cannot reserve %llu bytes",
                                        o->p.name, (unsigned long long)bytes);
}

/* Smallest writes that are worth the additional system calls of a mapped write, or of a hint. */
enum { LARGE_WRITE = 1 << 18, HINTED_WRITE = 1 << 20 };

err_code output_write(output *o, uint64_t off, const void *data, uint64_t bytes, err *e)
{
    if (o->stream) {
        return output_pipe_write(o->stream, off, data, bytes, e);
    }
    const uint64_t mapped = o->memory ? mapped_output_bytes(o->memory) : 0;
    if (bytes >= LARGE_WRITE && bytes <= mapped && off <= mapped - bytes) {
        const int failure = mapped_output_write(o->memory, off, data, bytes);
        return failure == 0 ? OK
                            : err_set_errno(e, ERR_IO, failure, "%s: cannot write at offset %llu",
                                            o->p.name, (unsigned long long)off);
    }
    TRY(io_write_at(o->p.fd, o->p.name, off, data, bytes, e));
    if (bytes >= HINTED_WRITE) {
        /* Start writing to disk now, so that the final fsync does not have to write everything.
         * Only a hint, so its result is not checked. */
        (void)sync_file_range(o->p.fd, (off_t)off, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
    }
    return OK;
}

err_code output_sync(output *o, err *e)
{
    if (o->stream) {
        return output_pipe_sync(o->stream, e);
    }
    /* Whoever reads the file now may expect that nothing changes it. */
    mapped_output_settle(o->memory);
    if (io_sync(o->p.fd) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot sync", o->p.name);
    }
    return OK;
}

int output_descriptor(const output *o)
{
    return o->p.fd;
}

const char *output_part_path(const output *o)
{
    return o->p.name;
}

static err_code commit_stream(output **out, err *e)
{
    const err_code code = output_pipe_close(&(*out)->stream, e);
    output_free(*out);
    *out = NULL;
    return code;
}

err_code output_commit(output **out, err *e)
{
    output *const o = *out;
    if (o->stream) {
        return commit_stream(out, e);
    }
    TRY(part_check_name(&o->p, e));
    mode_t mode = 0;
    TRY(permissions(o, &mode, e));
    TRY(part_chmod(&o->p, mode, e));
    TRY(output_sync(o, e)); /* the mode has to be durable too before the file has its name */
    TRY(part_rename(&o->p, o->force, e));
    const err_code code = part_sync_around(&o->p, e);
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
        (void)part_remove(&o->p); /* if it stays, the next run replaces it */
    }
    output_free(o);
    *out = NULL;
}

static err_code write_whole(output *o, const void *data, uint64_t bytes, err *e)
{
    err_code code = OK;
    TRY_OUT(output_write(o, 0, data, bytes, e));
    TRY_OUT(output_commit(&o, e));
out:
    output_abandon(&o);
    return code;
}

err_code output_write_file(const char *path, const void *data, uint64_t bytes, err *e)
{
    output *o = NULL;
    TRY(output_open(path, false, &o, e));
    return write_whole(o, data, bytes, e);
}

err_code output_write_file_in(const output_folder *folder, const char *name, const void *data,
                              uint64_t bytes, err *e)
{
    output *o = NULL;
    TRY(output_open_in(folder, name, &o, e));
    return write_whole(o, data, bytes, e);
}
