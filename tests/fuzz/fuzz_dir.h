/* A directory in memory for the files of a target, made once.
 *
 *     fuzz_dir_put("config.json", text, bytes, bytes);
 *     checkpoint_open(fuzz_dir_path(), NULL, &cp, &e);
 *
 * At the end of the process it is removed, if nothing but the files that were put is in it. */
#ifndef FUZZ_DIR_H
#define FUZZ_DIR_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz_aid.h"

enum { FUZZ_DIR_FILES = 8 };

typedef struct fuzz_dir {
    char path[64];
    int fd;
    const char *names[FUZZ_DIR_FILES]; /* that were put */
} fuzz_dir;

static fuzz_dir fuzz_dir_made;

static inline void fuzz_dir_remove(void)
{
    for (size_t i = 0; i < FUZZ_DIR_FILES && fuzz_dir_made.names[i]; i++) {
        unlinkat(fuzz_dir_made.fd, fuzz_dir_made.names[i], 0);
    }
    rmdir(fuzz_dir_made.path);
}

static inline const char *fuzz_dir_path(void)
{
    fuzz_dir *const d = &fuzz_dir_made;
    if (d->path[0] == '\0') {
        const char *const root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(d->path, sizeof d->path, "%s/octavo-fuzz-XXXXXX", root);
        require(mkdtemp(d->path) != NULL);
        d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        require(d->fd >= 0 && atexit(fuzz_dir_remove) == 0);
    }
    return d->path;
}

static inline void fuzz_dir_note(const char *name)
{
    size_t i = 0;
    while (fuzz_dir_made.names[i] && strcmp(fuzz_dir_made.names[i], name) != 0) {
        i++;
        require(i < FUZZ_DIR_FILES);
    }
    fuzz_dir_made.names[i] = name;
}

/* Make this file, with a hole after its first bytes up to `length`. `name` is a constant. */
static inline void fuzz_dir_put(const char *name, const void *start, size_t bytes, uint64_t length)
{
    fuzz_dir_path();
    fuzz_dir_note(name);
    const int fd = openat(fuzz_dir_made.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && pwrite(fd, start, bytes, 0) == (ssize_t)bytes);
    require(length == bytes || ftruncate(fd, (off_t)length) == 0);
    close(fd);
}

static inline void fuzz_dir_drop(const char *name)
{
    fuzz_dir_path();
    unlinkat(fuzz_dir_made.fd, name, 0);
}

/* Make the file, or remove it if there are no bytes. */
static inline void fuzz_dir_set(const char *name, const char *text, size_t bytes)
{
    if (bytes) {
        fuzz_dir_put(name, text, bytes, bytes);
    } else {
        fuzz_dir_drop(name);
    }
}

#endif
