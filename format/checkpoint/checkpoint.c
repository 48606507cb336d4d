#include "format/checkpoint/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/checkpoint/checkpoint_dir.h"
#include "format/file/io.h"
#include "format/json/json.h"
#include "format/base/num.h"
#include "format/checkpoint/shard_cache.h"
#include "format/checkpoint/shard_check.h"
#include "format/checkpoint/shard_index.h"
#include "format/checkpoint/shard_locate.h"

struct checkpoint_private {
    shard_cache *cache;
    char **names; /* [shard_count] blocks that hold the names of tensors */
};

/* What is needed only while a checkpoint is opened. */
typedef struct opening {
    checkpoint *cp;
    const monitor *m;
    shard_index index; /* without JSON: there is none */
    bool *missing;     /* [shard_count] the index names it, but it is not there */
    bool lacks_config; /* to be noted when all else is right */
    size_t room;       /* of cp->tensors */
} opening;

static err_code no_memory(const char *path, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", path);
}

/* Move the tensors of a header behind those that are there. */
static err_code add_tensors(opening *o, size_t i, st_header *h, err *e)
{
    checkpoint *cp = o->cp;
    if (o->room - cp->tensor_count < h->count) {
        const size_t room = cp->tensor_count + h->count + o->room / 2;
        tensor *grown = reallocarray(cp->tensors, room, sizeof *grown);
        if (!grown) {
            return no_memory(cp->shards[i].path, e);
        }
        cp->tensors = grown;
        o->room = room;
    }
    for (size_t k = 0; k < h->count; k++) {
        const st_tensor *from = &h->tensors[k];
        tensor *to = &cp->tensors[cp->tensor_count++];
        *to = (tensor){.name = from->name,
                       .type = from->type,
                       .ndim = from->ndim,
                       .off = from->off,
                       .bytes = from->bytes,
                       .shard = (uint32_t)i};
        memcpy(to->shape, from->shape, sizeof to->shape);
    }
    cp->priv->names[i] = h->names;
    h->names = NULL;
    return OK;
}

/* Is it sure that the file is not there? Anything else that is wrong with it shows when it is
 * opened. */
static bool is_absent(const char *path)
{
    struct stat st;
    return stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

static err_code open_shard(opening *o, size_t i, err *e)
{
    shard *s = &o->cp->shards[i];
    if (o->index.json && is_absent(shard_file(s))) {
        o->missing[i] = true;
        return OK;
    }
    int fd = -1;
    struct stat st;
    err_code code = io_open_read(shard_file(s), &fd, &st, e);
    if (code != OK) {
        return code;
    }
    shard_stamp(s, &st);
    st_header h;
    code = st_header_read_at(fd, s->path, s->base, s->bytes, &h, e);
    close(fd);
    if (code == OK) {
        s->header_bytes = h.header_bytes;
        memcpy(s->header_sha256, h.sha256, sizeof s->header_sha256);
        s->tensor_count = h.count;
        code = add_tensors(o, i, &h, e);
    }
    st_header_free(&h);
    return code;
}

static int compare_tensor(const void *a, const void *b)
{
    const tensor *x = a;
    const tensor *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : (x->shard > y->shard) - (x->shard < y->shard);
}

static err_code read_shards(opening *o, err *e)
{
    checkpoint *cp = o->cp;
    cp->priv->names = calloc(cp->shard_count, sizeof *cp->priv->names);
    o->missing = calloc(cp->shard_count, sizeof *o->missing);
    if (!cp->priv->names || !o->missing) {
        return no_memory(cp->dir, e);
    }
    for (size_t i = 0; i < cp->shard_count; i++) {
        const err_code code = monitor_cancelled(o->m) ? err_set(e, ERR_CANCELLED, "interrupted")
                                                      : open_shard(o, i, e);
        if (code != OK) {
            return code;
        }
    }
    if (cp->tensor_count > 1) {
        qsort(cp->tensors, cp->tensor_count, sizeof *cp->tensors, compare_tensor);
    }
    return shard_check(cp, o->index.json ? &o->index : NULL, o->missing, o->m, e);
}

/* Whoever needs the architecture will refuse; a conversion goes without. But a broken file is a
 * broken checkpoint. */
static err_code check_config(opening *o, err *e)
{
    char *path = io_join(o->cp->dir, "config.json");
    if (!path) {
        return no_memory(o->cp->dir, e);
    }
    char *text = NULL;
    size_t bytes = 0;
    json_t *json = NULL;
    err_code code =
        checkpoint_dir_read(o->cp->folder, "config.json", JSON_FILE_LIMIT, &text, &bytes, e);
    if (code == OK && !text) {
        o->lacks_config = true;
    } else if (code == OK) {
        code = json_parse(path, text, bytes, true, &json, e);
        if (code == OK && !json_is_object(json)) {
            code = err_set(e, ERR_INPUT, "%s: not a JSON object", path);
        }
    }
    json_decref(json);
    free(text);
    free(path);
    return code;
}

err_code checkpoint_open(const char *path, const monitor *m, checkpoint **out, err *e)
{
    opening o = {.cp = calloc(1, sizeof *o.cp), .m = m};
    *out = NULL;
    if (o.cp) {
        o.cp->priv = calloc(1, sizeof *o.cp->priv);
    }
    err_code code =
        o.cp && o.cp->priv ? shard_locate(path, m, o.cp, &o.index, e) : no_memory(path, e);
    if (code == OK) {
        code = check_config(&o, e);
    }
    if (code == OK) {
        code = read_shards(&o, e);
    }
    if (code == OK) {
        o.cp->priv->cache = shard_cache_new(o.cp->shards);
        code = o.cp->priv->cache ? OK : no_memory(path, e);
    }
    shard_index_free(&o.index);
    free(o.missing);
    if (code != OK) {
        checkpoint_close(o.cp);
        return code;
    }
    if (o.lacks_config) {
        monitor_note(m, "%s: there is no config.json", o.cp->dir);
    }
    /* Headers and index of a large checkpoint leave a heap of small free pieces behind, which would
     * count as memory in use for the rest of the run. */
    malloc_trim(0);
    *out = o.cp;
    return OK;
}

static err_code check_range(const tensor *t, uint64_t off, size_t bytes, err *e)
{
    uint64_t end = 0;
    return num_add(off, bytes, &end) && end <= t->bytes
               ? OK
               : err_set(e, ERR_INTERNAL, "tensor %s: read beyond its end", t->name);
}

/* Where a tensor starts in the file that holds its shard, which has it as a whole. */
static uint64_t shard_off(const checkpoint *cp, const tensor *t)
{
    return cp->shards[t->shard].base + t->off;
}

err_code checkpoint_read(checkpoint *cp, const tensor *t, uint64_t off, void *to, size_t bytes,
                         err *e)
{
    direct_file *file = NULL;
    err_code code = check_range(t, off, bytes, e);
    if (code == OK && bytes > 0) {
        code = shard_cache_acquire(cp->priv->cache, t->shard, &file, e);
    }
    if (code != OK || !file) {
        return code;
    }
    code = io_read_at(file->fd, file->path, shard_off(cp, t) + off, to, bytes, e);
    shard_cache_release(cp->priv->cache, t->shard);
    return code;
}

/* In the room the bytes lie as in the file, where elements need not be aligned. */
err_code checkpoint_read_room(checkpoint *cp, const tensor *t, uint64_t off, unsigned char *room,
                              size_t bytes, const direct_witness *w, unsigned char **data, err *e)
{
    direct_file *file = NULL;
    err_code code = check_range(t, off, bytes, e);
    if (code == OK) {
        code = shard_cache_acquire(cp->priv->cache, t->shard, &file, e);
    }
    if (code != OK) {
        return code;
    }
    code = direct_read(file, shard_off(cp, t) + off, room, bytes, w, data, e);
    shard_cache_release(cp->priv->cache, t->shard);
    const size_t element = num_max(dtype_bits(t->type) / 8, 1);
    if (code == OK && (size_t)(*data - room) % element != 0) {
        memmove(room, *data, bytes);
        *data = room;
    }
    return code;
}

/* An error shows when the tensor is read. No bytes would mean all that follow. */
void checkpoint_prefetch(checkpoint *cp, const tensor *t)
{
    direct_file *file = NULL;
    if (t->bytes > 0 && shard_cache_acquire(cp->priv->cache, t->shard, &file, NULL) == OK) {
        posix_fadvise(file->fd, (off_t)shard_off(cp, t), (off_t)t->bytes, POSIX_FADV_WILLNEED);
        shard_cache_release(cp->priv->cache, t->shard);
    }
}

err_code checkpoint_read_file(const checkpoint *cp, const char *name, char **data, size_t *bytes,
                              err *e)
{
    return checkpoint_dir_read(cp->folder, name, JSON_FILE_LIMIT, data, bytes, e);
}

static int compare_tensor_name(const void *key, const void *element)
{
    const tensor *t = element;
    return strcmp(key, t->name);
}

const tensor *checkpoint_find(const checkpoint *cp, const char *name)
{
    return cp->tensor_count ? bsearch(name, cp->tensors, cp->tensor_count, sizeof *cp->tensors,
                                      compare_tensor_name)
                            : NULL;
}

err_code checkpoint_unchanged(const checkpoint *cp, err *e)
{
    for (size_t i = 0; i < cp->shard_count; i++) {
        const shard *s = &cp->shards[i];
        struct stat st;
        if (stat(shard_file(s), &st) != 0) {
            return err_set_errno(e, ERR_IO, errno, "%s: gone meanwhile", s->path);
        }
        const err_code code = shard_check_stamp(s, &st, e);
        if (code != OK) {
            return code;
        }
    }
    return OK;
}

void checkpoint_close(checkpoint *cp)
{
    if (!cp) {
        return;
    }
    for (size_t i = 0; i < cp->shard_count; i++) {
        free(cp->shards[i].name);
        free(cp->shards[i].path);
        free(cp->shards[i].file);
    }
    if (cp->priv) {
        for (size_t i = 0; cp->priv->names && i < cp->shard_count; i++) {
            free(cp->priv->names[i]);
        }
        free(cp->priv->names);
        shard_cache_free(cp->priv->cache);
    }
    free(cp->priv);
    free(cp->tensors);
    free(cp->shards);
    free(cp->dir);
    checkpoint_dir_close(cp->folder);
    free(cp);
}
