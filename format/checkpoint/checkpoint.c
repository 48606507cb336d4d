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
#include "format/checkpoint/shard_refuse.h"
#include "format/checkpoint/shard_sample.h"

struct checkpoint_private {
    shard_cache *cache;
    shard_sample *sample;
    char **names; /* [shard_count] blocks that hold the names of tensors */
};

/* State that is needed only while a checkpoint is opened. */
typedef struct opening {
    checkpoint *cp;
    const monitor *m;
    shard_index index; /* index.json NULL: there is none */
    bool *missing;     /* [shard_count] the index names the shard, but it does not exist */
    bool lacks_config; /* noted once everything else is right */
    size_t capacity;   /* of cp->tensors */
} opening;

static err_code no_memory(const char *path, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", path);
}

/* Append the tensors of shard `i`, whose header gives up its block of names. */
static err_code add_tensors(opening *o, size_t i, st_header *h, err *e)
{
    checkpoint *cp = o->cp;
    if (o->capacity - cp->tensor_count < h->count) {
        const size_t capacity = cp->tensor_count + h->count + o->capacity / 2;
        tensor *grown = reallocarray(cp->tensors, capacity, sizeof *grown);
        if (!grown) {
            return no_memory(cp->shards[i].path, e);
        }
        cp->tensors = grown;
        o->capacity = capacity;
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

/* Does the file certainly not exist? Anything else that is wrong with it is found when it is opened.
 */
static bool is_absent(const char *path)
{
    struct stat st;
    return stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* A shard that is read in an archive must be in the archive that was scanned. */
static err_code stamp_shard(shard *s, const archive_index *archive, const struct stat *st, err *e)
{
    bool touched = false;
    s->stamp = file_stamp_of(st);
    s->bytes = s->file ? s->bytes : s->stamp.bytes;
    if (archive && strcmp(shard_file(s), archive->path) == 0) {
        s->stamp = archive->stamp;
    }
    return file_stamp_check(&s->stamp, st, s->path, &touched, e);
}

static err_code read_header(shard *s, const archive_index *archive, const monitor *m, st_header *h,
                            err *e)
{
    int fd = -1;
    struct stat st;
    err_code code = OK;
    TRY(io_open_read(shard_file(s), &fd, &st, e));
    TRY_OUT(stamp_shard(s, archive, &st, e));
    code = st_header_read_at(fd, s->path, s->base, s->bytes, m, h, e);
out:
    close(fd);
    return code;
}

static err_code open_shard(opening *o, size_t i, err *e)
{
    shard *s = &o->cp->shards[i];
    if (monitor_cancelled(o->m)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    if (o->index.json && is_absent(shard_file(s))) {
        o->missing[i] = true;
        return OK;
    }
    st_header h;
    TRY(read_header(s, o->cp->folder->archive, o->m, &h, e));
    s->header_bytes = h.header_bytes;
    memcpy(s->header_sha256, h.sha256, sizeof s->header_sha256);
    s->tensor_count = h.count;
    const err_code code = add_tensors(o, i, &h, e);
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
        TRY(open_shard(o, i, e));
    }
    if (cp->tensor_count > 1) {
        qsort(cp->tensors, cp->tensor_count, sizeof *cp->tensors, compare_tensor);
    }
    return shard_check(cp, o->index.json ? &o->index : NULL, o->missing, o->m, e);
}

/* A conversion does without config.json, and a command that needs the architecture refuses if it is
 * missing. But a config.json that is broken means a broken checkpoint. */
static err_code check_config(opening *o, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    json_t *json = NULL;
    err_code code = OK;
    char *path = io_join(o->cp->dir, "config.json");
    if (!path) {
        return no_memory(o->cp->dir, e);
    }
    TRY_OUT(checkpoint_dir_read(o->cp->folder, "config.json", JSON_FILE_LIMIT, &text, &bytes, e));
    o->lacks_config = !text;
    if (text) {
        TRY_OUT(json_parse(path, text, bytes, JSON_PYTHON, &json, e));
        if (!json_is_object(json)) {
            code = err_set(e, ERR_INPUT, "%s: not a JSON object", path);
        }
    }
out:
    json_decref(json);
    free(text);
    free(path);
    return code;
}

static err_code open_all(opening *o, const char *path, err *e)
{
    checkpoint *const cp = o->cp;
    cp->priv = calloc(1, sizeof *cp->priv);
    if (!cp->priv) {
        return no_memory(path, e);
    }
    TRY(shard_locate(path, o->m, cp, &o->index, e));
    TRY(check_config(o, e));
    TRY(read_shards(o, e));
    cp->priv->cache = shard_cache_new(cp->shards);
    cp->priv->sample = shard_sample_new(cp->shards, cp->shard_count);
    return cp->priv->cache && cp->priv->sample ? OK : no_memory(path, e);
}

/* A source that was found to be wrong may have been right before it changed. */
static err_code end_opening(const checkpoint *cp, err_code code, err *e)
{
    const archive_index *const archive = cp->folder ? cp->folder->archive : NULL;
    if (code != ERR_INPUT || !archive) {
        return cp->folder ? checkpoint_end(cp, NULL, code, e) : code;
    }
    struct stat now;
    err late = {0};
    bool touched = false;
    if (stat(archive->path, &now) != 0) {
        late.code = err_set_errno(&late, ERR_IO, errno, "%s: cannot stat", archive->path);
    } else {
        late.code = file_stamp_check(&archive->stamp, &now, archive->path, &touched, &late);
    }
    if (touched) {
        late.code = file_stamp_refuse(archive->path, &late);
    }
    return err_overrule(e, code, &late);
}

err_code checkpoint_open(const char *path, const monitor *m, checkpoint **out, err *e)
{
    opening o = {.cp = calloc(1, sizeof *o.cp), .m = m};
    *out = NULL;
    if (!o.cp) {
        return no_memory(path, e);
    }
    const err_code code = open_all(&o, path, e);
    shard_index_free(&o.index);
    free(o.missing);
    if (code != OK) {
        const err_code final = end_opening(o.cp, code, e);
        checkpoint_close(o.cp);
        return final;
    }
    if (o.lacks_config) {
        monitor_note(m, "%s: there is no config.json", o.cp->dir);
    }
    /* Headers and index of a large checkpoint leave a heap of small free pieces, which would count
     * as memory in use for the rest of the run. */
    malloc_trim(0);
    *out = o.cp;
    return OK;
}

err_code checkpoint_check_whole(const checkpoint *cp, err *e)
{
    const shard *const s = &cp->shards[0];
    return cp->index_name ? OK : shard_refuse_part(s->path, io_basename(s->name), false, e);
}

static err_code check_range(const tensor *t, uint64_t off, size_t bytes, err *e)
{
    uint64_t end = 0;
    return num_add(off, bytes, &end) && end <= t->bytes
               ? OK
               : err_set(e, ERR_INTERNAL, "tensor %s: read beyond its end", t->name);
}

/* Where a tensor starts in the file that contains its shard: the shard may be a part of it. */
static uint64_t shard_off(const checkpoint *cp, const tensor *t)
{
    return cp->shards[t->shard].base + t->off;
}

/* `off` in the file that contains the shard. */
static err_code read_at(checkpoint *cp, uint32_t idx, uint64_t off, void *to, size_t bytes, err *e)
{
    direct_file *file = NULL;
    TRY(shard_cache_acquire(cp->priv->cache, idx, &file, e));
    const err_code code = io_read_at(file->fd, file->path, off, to, bytes, e);
    shard_cache_release(cp->priv->cache, idx);
    TRY(code);
    shard_sample_see(cp->priv->sample, idx, off, to, bytes);
    return OK;
}

err_code checkpoint_read(checkpoint *cp, const tensor *t, uint64_t off, void *to, size_t bytes,
                         err *e)
{
    TRY(check_range(t, off, bytes, e));
    return bytes == 0 ? OK : read_at(cp, t->shard, shard_off(cp, t) + off, to, bytes, e);
}

err_code checkpoint_read_shard(checkpoint *cp, uint32_t idx, uint64_t off, void *to, size_t bytes,
                               err *e)
{
    const shard *const s = &cp->shards[idx];
    if (off > s->bytes || bytes > s->bytes - off) {
        return err_set(e, ERR_INTERNAL, "%s: read beyond its end", s->path);
    }
    return bytes == 0 ? OK : read_at(cp, idx, s->base + off, to, bytes, e);
}

/* Direct reading puts the bytes where their offset in the file says, and there elements need not be
 * aligned: if they are not, the bytes are moved to the beginning of the buffer. */
err_code checkpoint_read_room(checkpoint *cp, const tensor *t, uint64_t off, unsigned char *buffer,
                              size_t bytes, const direct_witness *w, unsigned char **data, err *e)
{
    direct_file *file = NULL;
    TRY(check_range(t, off, bytes, e));
    TRY(shard_cache_acquire(cp->priv->cache, t->shard, &file, e));
    const err_code code = direct_read(file, shard_off(cp, t) + off, buffer, bytes, w, data, e);
    shard_cache_release(cp->priv->cache, t->shard);
    TRY(code);
    shard_sample_see(cp->priv->sample, t->shard, shard_off(cp, t) + off, *data, bytes);
    const size_t element = num_max(dtype_bits(t->type) / 8, 1);
    if ((size_t)(*data - buffer) % element != 0) {
        memmove(buffer, *data, bytes);
        *data = buffer;
    }
    return OK;
}

/* Errors are left to the read. A length of 0 would mean everything up to the end of the file. */
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

static err_code compare_sample(const checkpoint *cp, uint32_t idx, err *e)
{
    int fd = -1;
    if (!cp->priv->sample) { /* it was not even opened, because something is wrong with it */
        return file_stamp_refuse(cp->shards[idx].path, e);
    }
    TRY(io_open_read(shard_file(&cp->shards[idx]), &fd, NULL, e));
    const err_code code = shard_sample_check(cp->priv->sample, idx, fd, e);
    close(fd);
    return code;
}

err_code checkpoint_unchanged(const checkpoint *cp, const monitor *m, err *e)
{
    for (size_t i = 0; i < cp->shard_count; i++) {
        const shard *s = &cp->shards[i];
        struct stat st;
        bool touched = false;
        if (s->stamp.inode == 0) {
            continue; /* opening did not come so far */
        }
        if (stat(shard_file(s), &st) != 0) {
            const char *const what = errno == ENOENT ? "disappeared during the run" : "cannot stat";
            return err_set_errno(e, ERR_IO, errno, "%s: %s", s->path, what);
        }
        TRY(file_stamp_check(&s->stamp, &st, s->path, &touched, e));
        if (touched) {
            TRY(compare_sample(cp, (uint32_t)i, e));
            file_stamp_note(m, s->path);
        }
    }
    return checkpoint_dir_unchanged(cp->folder, m, e);
}

err_code checkpoint_end(const checkpoint *cp, const monitor *m, err_code code, err *e)
{
    err late = {0};
    late.code = checkpoint_unchanged(cp, m, &late);
    return err_overrule(e, code, &late);
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
        shard_sample_free(cp->priv->sample);
    }
    free(cp->priv);
    free(cp->tensors);
    free(cp->shards);
    free(cp->dir);
    free(cp->index_name);
    checkpoint_dir_close(cp->folder);
    free(cp);
}
