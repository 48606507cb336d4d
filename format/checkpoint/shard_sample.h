/* A sample of what was read from each shard, to be compared with what is there at the end of the run: of
 * each eighth of a shard the beginning of the first read in it. A part of checkpoint.c.
 *
 *     shard_sample_see(s, shard, off, data, bytes)        after each read, by any thread
 *     shard_sample_check(s, shard, fd, e)                 when no thread reads any more */
#ifndef SHARD_SAMPLE_H
#define SHARD_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "format/checkpoint/checkpoint.h"

typedef struct shard_sample shard_sample;

/* `shards` must outlive it. NULL: no memory. */
shard_sample *shard_sample_new(const shard *shards, size_t count);

/* `data` is what was read at byte `off` of the file that contains the shard. */
void shard_sample_see(shard_sample *s, uint32_t idx, uint64_t off, const void *data, size_t bytes);

/* Read the header of the shard and its sample again: ERR_IO if any of it is different. */
MUST_CHECK err_code shard_sample_check(const shard_sample *s, uint32_t idx, int fd, err *e);

void shard_sample_free(shard_sample *s); /* NULL is fine */

#endif
