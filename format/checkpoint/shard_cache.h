/* Keeps a bounded number of shards open: a released checkpoint may have more shards than a process
 * may have open files.
 *
 *     direct_file *file;
 *     if (shard_cache_acquire(cache, shard, &file, e) == OK) {
 *         ... pread(file->fd), direct_read(file) ...
 *         shard_cache_release(cache, shard);
 *     }
 *
 * Safe from several threads. A file in use is not closed; to open another one, the least recently
 * used of the rest is closed. When all are in use, acquire waits, so a thread should hold only one
 * at a time. */
#ifndef SHARD_CACHE_H
#define SHARD_CACHE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "format/checkpoint/checkpoint.h"
#include "format/file/direct.h"
#include "format/base/err.h"

enum { SHARD_CACHE_SLOTS = 32 };

typedef struct shard_cache shard_cache;

/* `shards` must outlive the cache. NULL: no memory. */
shard_cache *shard_cache_new(const shard *shards);

/* *file is owned by the cache. ERR_IO: it cannot be opened, or has changed since the checkpoint was
 * opened. */
MUST_CHECK err_code shard_cache_acquire(shard_cache *c, uint32_t idx, direct_file **file, err *e);
void shard_cache_release(shard_cache *c, uint32_t idx);

void shard_cache_free(shard_cache *c); /* NULL is fine; no thread may be using it */

#endif
