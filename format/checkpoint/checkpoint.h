/* A Hugging Face checkpoint as one list of tensors, whatever files contain them.
 *
 *     checkpoint *cp;
 *     checkpoint_open("Ring-mini-linear-2.0", m, &cp, e);
 *     checkpoint_read(cp, &cp->tensors[i], 0, buffer, bytes, e);
 *     checkpoint_close(cp);
 *
 * Accepts a directory (index and shards, model.safetensors, or the only *.safetensors), a single
 * .safetensors file, a models--ORG--NAME folder of the Hub's cache (refs/main -> snapshots/HASH),
 * and an archive of such a directory (format/checkpoint/checkpoint_dir.h). Only headers are read.
 * Index and shards must agree; every disagreement is listed in the message. After checkpoint_open
 * several threads may use a checkpoint. */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "format/file/direct.h"
#include "format/file/file_stamp.h"
#include "format/base/monitor.h"
#include "format/safetensors/safetensors.h"

typedef struct shard {
    char *name; /* as the index gives it, relative to `dir` */
    char *path; /* for messages */
    char *file; /* the file that contains it, from `base` on; NULL: all of the file `path` */
    uint64_t base, bytes;
    file_stamp stamp; /* of that file when it was opened */
    uint64_t header_bytes;
    unsigned char header_sha256[SHA256_BYTES];
    size_t tensor_count;
} shard;

typedef struct tensor {
    const char *name;
    dtype type;
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    uint64_t off, bytes; /* in the shard */
    uint32_t shard;
} tensor;

typedef struct checkpoint {
    char *dir; /* where config.json would be: the path of `folder` */
    struct checkpoint_dir *folder;
    char *index_name; /* NULL: there is none */
    shard *shards;    /* sorted by name */
    size_t shard_count;
    tensor *tensors; /* sorted by name bytes */
    size_t tensor_count;
    struct checkpoint_private *priv;
} checkpoint;

/* Open a checkpoint. *out: checkpoint_close. Notes go to the monitor. Errors: ERR_IO: it cannot be
 * read; ERR_INPUT: malformed or contradictory; ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code checkpoint_open(const char *path, const monitor *m, checkpoint **out, err *e);

/* OK unless the checkpoint is a file that holds a part of a model, as its name says: an adapter, or one
 * of several shards. Commands that look at tensors take it, a conversion does not. ERR_INPUT. */
MUST_CHECK err_code checkpoint_check_whole(const checkpoint *cp, err *e);

/* Read bytes [off, off + bytes) of a tensor. Safe from several threads; at most 32 shards are open
 * at a time. ERR_IO; ERR_INTERNAL: beyond the end of the tensor. */
MUST_CHECK err_code checkpoint_read(checkpoint *cp, const tensor *t, uint64_t off, void *to,
                                    size_t bytes, err *e);

/* The same in the fastest way (format/file/direct.h), into a buffer as direct_read requires it; `w`
 * may be NULL. *data: where the bytes begin in it, aligned to the size of an element. */
MUST_CHECK err_code checkpoint_read_room(checkpoint *cp, const tensor *t, uint64_t off,
                                         unsigned char *buffer, size_t bytes,
                                         const direct_witness *w, unsigned char **data, err *e);

/* Read bytes [off, off + bytes) of a shard, its header included, like checkpoint_read. */
MUST_CHECK err_code checkpoint_read_shard(checkpoint *cp, uint32_t idx, uint64_t off, void *to,
                                          size_t bytes, err *e);

/* The file that contains a shard, from shard->base on. */
static inline const char *shard_file(const shard *s)
{
    return s->file ? s->file : s->path;
}

/* The tensor of this name, NULL if there is none. */
const tensor *checkpoint_find(const checkpoint *cp, const char *name);

/* Ask the system to have a tensor in memory soon; a hint, safe from several threads. */
void checkpoint_prefetch(checkpoint *cp, const tensor *t);

/* Read a small file next to the shards, of at most JSON_FILE_LIMIT bytes. *data is NULL if there is
 * none, else the caller's to free(), with a NUL after it. ERR_IO; ERR_INPUT: too large. */
MUST_CHECK err_code checkpoint_read_file(const checkpoint *cp, const char *name, char **data,
                                         size_t *bytes, err *e);

/* ERR_IO if a shard, or a small file that was read, is not what it was when it was opened: another file,
 * size or modification time. If only the ctime is another one, the header of the shard and a sample of
 * what was read from it (or all of the small file) are read again: a note if they are the same, else
 * ERR_IO. No other thread may be reading. */
MUST_CHECK err_code checkpoint_unchanged(const checkpoint *cp, const monitor *m, err *e);

/* Call this at the end with the result of the run: if the checkpoint changed, neither success nor a
 * verdict holds (err_overrule). Returns the final result. */
MUST_CHECK err_code checkpoint_end(const checkpoint *cp, const monitor *m, err_code code, err *e);

void checkpoint_close(checkpoint *cp); /* NULL is fine */

#endif
