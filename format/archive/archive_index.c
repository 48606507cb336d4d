#include "format/archive/archive_index.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/archive/archive_scan.h"
#include "format/file/io.h"
#include "format/base/num.h"

enum { LINKS_MAX = 8 };

struct archive_private {
    int fd, temp_file; /* temp_file -1: there is none */
};

static err_code find_form(int fd, const char *path, const struct stat *st, archive_form *form,
                          err *e)
{
    unsigned char start[ARCHIVE_START_BYTES] = {0};
    const err_code code =
        io_read_at(fd, path, 0, start, num_min(sizeof start, (uint64_t)st->st_size), e);
    *form = code == OK ? archive_form_of(start) : FORM_NONE;
    return code;
}

err_code archive_probe(const char *path, bool *is_archive, err *e)
{
    int fd = -1;
    struct stat st;
    archive_form form = FORM_NONE;
    *is_archive = false;
    err_code code = io_open_read(path, &fd, &st, e);
    if (code == OK) {
        code = find_form(fd, path, &st, &form, e);
        close(fd);
    }
    *is_archive = form != FORM_NONE;
    return code;
}

bool archive_recognizes(const char *path)
{
    bool found = false;
    return archive_probe(path, &found, NULL) == OK && found;
}

static int compare_member(const void *a, const void *b)
{
    const archive_member *const x = a;
    const archive_member *const y = b;
    return strcmp(x->name, y->name);
}

/* A directory may well be named twice, anything else is a question without an answer. */
static err_code sort_members(archive_index *b, err *e)
{
    if (b->count > 1) {
        qsort(b->members, b->count, sizeof *b->members, compare_member);
    }
    for (size_t i = 1; i < b->count; i++) {
        const archive_member *const m = &b->members[i];
        if (strcmp(m[-1].name, m->name) == 0 &&
            (m[-1].kind != ARCHIVE_DIRECTORY || m->kind != ARCHIVE_DIRECTORY)) {
            return err_set(e, ERR_INPUT, "%s: %s is in it twice", b->path, m->name);
        }
    }
    return OK;
}

/* An archive that changes while its members are looked up is none that was found. */
static err_code check_unchanged(const archive_index *b, const struct stat *before, err *e)
{
    struct stat now;
    if (fstat(b->priv->fd, &now) == 0 && now.st_size == before->st_size &&
        now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == before->st_mtim.tv_nsec) {
        return OK;
    }
    return err_set(e, ERR_IO, "%s: changed meanwhile", b->path);
}

static err_code scan(archive_index *b, const monitor *m, err *e)
{
    struct stat st;
    err_code code = io_open_read(b->path, &b->priv->fd, &st, e);
    if (code != OK) {
        return code;
    }
    b->device = (uint64_t)st.st_dev;
    b->inode = (uint64_t)st.st_ino;
    archive_form form = FORM_NONE;
    code = find_form(b->priv->fd, b->path, &st, &form, e);
    if (code == OK) {
        code = archive_scan(b, b->priv->fd, form, m, &b->priv->temp_file, e);
    }
    if (code == OK) {
        code = check_unchanged(b, &st, e);
    }
    if (code == OK) {
        code = sort_members(b, e);
    }
    if (code == OK && b->priv->temp_file >= 0 &&
        asprintf(&b->spilled, "/proc/self/fd/%d", b->priv->temp_file) < 0) {
        b->spilled = NULL;
        code = err_set(e, ERR_MEMORY, "%s: no memory", b->path);
    }
    return code;
}

err_code archive_open(const char *path, const monitor *m, archive_index **out, err *e)
{
    archive_index *const b = calloc(1, sizeof *b);
    if (b) {
        b->path = strdup(path);
        b->priv = malloc(sizeof *b->priv);
    }
    err_code code = OK;
    if (b && b->priv) {
        *b->priv = (struct archive_private){.fd = -1, .temp_file = -1};
    }
    if (!b || !b->path || !b->priv) {
        code = err_set(e, ERR_MEMORY, "%s: no memory", path);
    } else {
        code = scan(b, m, e);
    }
    if (code != OK) {
        archive_close(b);
        return code;
    }
    *out = b;
    return OK;
}

static const archive_member *find_member(const archive_index *b, const char *name)
{
    const archive_member key = {.name = (char *)name};
    return b->count ? bsearch(&key, b->members, b->count, sizeof *b->members, compare_member)
                    : NULL;
}

static const archive_member *follow(const archive_index *b, const archive_member *m)
{
    for (int links = 0; m && m->kind == ARCHIVE_LINK; links++) {
        m = m->target && links < LINKS_MAX ? find_member(b, m->target) : NULL;
    }
    return m;
}

const archive_member *archive_member_of(const archive_index *b, const char *name)
{
    return follow(b, find_member(b, name));
}

err_code archive_find(const archive_index *b, const char *name, archive_place *place, err *e)
{
    *place = (archive_place){0};
    const archive_member *m = find_member(b, name);
    if (!m) {
        return OK;
    }
    m = follow(b, m);
    if (!m) {
        err_set(e, ERR_INPUT, "%s: %s: a link that leads to nothing in the archive", b->path, name);
        err_hint(e, "tar -h puts in the files that links lead to");
        return ERR_INPUT;
    }
    if (m->kind != ARCHIVE_FILE || m->lack) {
        return err_set(e, ERR_INPUT, "%s: %s: %s", b->path, name,
                       m->kind != ARCHIVE_FILE ? "not a regular file" : m->lack);
    }
    *place = (archive_place){m->unpacked ? b->spilled : b->path, m->base, m->bytes};
    return OK;
}

void archive_close(archive_index *b)
{
    if (!b) {
        return;
    }
    for (size_t i = 0; i < b->count; i++) {
        free(b->members[i].name);
        free(b->members[i].target);
    }
    if (b->priv && b->priv->fd >= 0) {
        close(b->priv->fd);
    }
    if (b->priv && b->priv->temp_file >= 0) {
        close(b->priv->temp_file);
    }
    free(b->priv);
    free(b->members);
    free(b->spilled);
    free(b->path);
    free(b);
}
