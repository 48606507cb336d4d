#include "format/archive/archive_index.h"

#include <errno.h>
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
    int fd;
    int temp_file; /* -1: there is none */
};

static err_code find_form(int fd, const char *path, const struct stat *st, archive_form *form,
                          err *e)
{
    unsigned char start[ARCHIVE_START_BYTES] = {0};
    *form = FORM_NONE;
    TRY(io_read_at(fd, path, 0, start, num_min(sizeof start, (uint64_t)st->st_size), e));
    *form = archive_form_of(start);
    return OK;
}

err_code archive_probe(const char *path, bool *is_archive, err *e)
{
    int fd = -1;
    struct stat st;
    archive_form form = FORM_NONE;
    *is_archive = false;
    TRY(io_open_read(path, &fd, &st, e));
    const err_code code = find_form(fd, path, &st, &form, e);
    close(fd);
    *is_archive = form != FORM_NONE;
    return code;
}

static int compare_member(const void *a, const void *b)
{
    const archive_member *const x = a;
    const archive_member *const y = b;
    return strcmp(x->name, y->name);
}

/* A directory may be listed twice. Anything else would be ambiguous: programs disagree on which of
 * two members counts. */
static err_code sort_members(archive_index *index, err *e)
{
    if (index->count > 1) {
        qsort(index->members, index->count, sizeof *index->members, compare_member);
    }
    for (size_t i = 1; i < index->count; i++) {
        const archive_member *const m = &index->members[i];
        if (strcmp(m[-1].name, m->name) == 0 &&
            (m[-1].kind != ARCHIVE_DIRECTORY || m->kind != ARCHIVE_DIRECTORY)) {
            return err_set(e, ERR_INPUT, "%s: duplicate member %s", index->path, m->name);
        }
    }
    return OK;
}

/* If the archive changes while it is scanned, the places found in it mean nothing. Its ctime alone says
 * nothing: it is compared at the end of the run, when the shards are read again. But an archive that was
 * found to be wrong may have been right. */
static err_code check_unchanged(const archive_index *index, err_code found, err *e)
{
    struct stat now;
    bool touched = false;
    if (fstat(index->priv->fd, &now) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", index->path);
    }
    TRY(file_stamp_check(&index->stamp, &now, index->path, &touched, e));
    return touched && found == ERR_INPUT ? file_stamp_refuse(index->path, e) : OK;
}

static err_code scan(archive_index *index, const monitor *m, err *e)
{
    struct stat st;
    archive_form form = FORM_NONE;
    TRY(io_open_read(index->path, &index->priv->fd, &st, e));
    index->stamp = file_stamp_of(&st);
    TRY(find_form(index->priv->fd, index->path, &st, &form, e));
    const err_code code = archive_scan(index, index->priv->fd, form, m, &index->priv->temp_file, e);
    err late = {0};
    late.code = check_unchanged(index, code, &late);
    TRY(err_overrule(e, code, &late));
    TRY(sort_members(index, e));
    if (index->priv->temp_file >= 0 &&
        asprintf(&index->spilled, "/proc/self/fd/%d", index->priv->temp_file) < 0) {
        index->spilled = NULL;
        return err_set(e, ERR_MEMORY, "%s: no memory", index->path);
    }
    return OK;
}

/* An index without members; NULL if memory is short. */
static archive_index *new_index(const char *path)
{
    archive_index *const index = calloc(1, sizeof *index);
    if (!index) {
        return NULL;
    }
    index->path = strdup(path);
    index->priv = malloc(sizeof *index->priv);
    if (index->priv) {
        *index->priv = (struct archive_private){.fd = -1, .temp_file = -1};
    }
    if (!index->path || !index->priv) {
        archive_close(index);
        return NULL;
    }
    return index;
}

err_code archive_open(const char *path, const monitor *m, archive_index **out, err *e)
{
    err_code code = OK;
    archive_index *index = new_index(path);
    if (!index) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    TRY_OUT(scan(index, m, e));
    *out = index;
    index = NULL;
out:
    archive_close(index);
    return code;
}

static const archive_member *find_member(const archive_index *index, const char *name)
{
    const archive_member key = {.name = (char *)name};
    return index->count
               ? bsearch(&key, index->members, index->count, sizeof *index->members, compare_member)
               : NULL;
}

size_t archive_first(const archive_index *index, const char *name)
{
    size_t low = 0;
    size_t high = index->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(index->members[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static const archive_member *follow(const archive_index *index, const archive_member *m)
{
    for (int links = 0; m && m->kind == ARCHIVE_LINK; links++) {
        m = m->target && links < LINKS_MAX ? find_member(index, m->target) : NULL;
    }
    return m;
}

const archive_member *archive_member_of(const archive_index *index, const char *name)
{
    return follow(index, find_member(index, name));
}

err_code archive_find(const archive_index *index, const char *name, archive_place *place, err *e)
{
    *place = (archive_place){0};
    const archive_member *m = find_member(index, name);
    if (!m) {
        return OK;
    }
    m = follow(index, m);
    if (!m) {
        err_set(e, ERR_INPUT, "%s: %s: a link whose target is not in the archive", index->path,
                name);
        err_hint(e, "tar -h stores the files that links point to");
        return ERR_INPUT;
    }
    if (m->kind != ARCHIVE_FILE || m->lack) {
        return err_set(e, ERR_INPUT, "%s: %s: %s", index->path, name,
                       m->kind != ARCHIVE_FILE ? "not a regular file" : m->lack);
    }
    *place = (archive_place){m->unpacked ? index->spilled : index->path, m->base, m->bytes};
    return OK;
}

void archive_close(archive_index *index)
{
    if (!index) {
        return;
    }
    for (size_t i = 0; i < index->count; i++) {
        free(index->members[i].name);
        free(index->members[i].target);
    }
    if (index->priv && index->priv->fd >= 0) {
        close(index->priv->fd);
    }
    if (index->priv && index->priv->temp_file >= 0) {
        close(index->priv->temp_file);
    }
    free(index->priv);
    free(index->members);
    free(index->spilled);
    free(index->path);
    free(index);
}
