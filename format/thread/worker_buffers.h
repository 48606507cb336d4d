/* Buffers for the workers of parallel_for: each worker has one, split into the same parts.
 *
 *     enum { PART_CHUNK, PART_SCALES };
 *     const worker_need need = {.task = "unpacking a chunk", .tensor = largest_name,
 *                               .memory = o->memory, .threads = o->threads,
 *                               .bytes = {[PART_CHUNK] = chunk, [PART_SCALES] = scales}};
 *     worker_buffers b = {0};
 *     if (worker_buffers_create(&b, &need, e) == OK)
 *         parallel_for(b.workers, ..., e);
 *     in the task:  worker_buffers_part(&b, worker, PART_SCALES)
 *     worker_buffers_free(&b);
 *
 * There are as many workers as threads, or as many as the memory allows. A buffer begins at a page
 * (WORKER_BUFFER_ALIGN), and its parts follow one another without gaps: parts whose sizes are
 * multiples of a page begin at a page as well, as direct I/O wants it. A worker touches its own
 * buffer only; nothing here is locked. */
#ifndef WORKER_BUFFERS_H
#define WORKER_BUFFERS_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

enum { WORKER_PARTS_MAX = 5, WORKER_BUFFER_ALIGN = 4096 };

typedef struct worker_need {
    const char *task;   /* what a worker does with a buffer, for messages */
    const char *tensor; /* the one that needs the largest buffer, for messages */
    uint64_t memory;    /* for all buffers */
    unsigned threads;   /* ≥ 1 */
    uint64_t bytes[WORKER_PARTS_MAX];
} worker_need;

typedef struct worker_buffers {
    unsigned workers;
    uint64_t begin[WORKER_PARTS_MAX]; /* of each part within a buffer */
    unsigned char **of;               /* [workers] */
} worker_buffers;

/* *b has to be zero. ERR_MEMORY: one buffer alone is larger than the memory allows, or there is no
 * memory. */
MUST_CHECK err_code worker_buffers_create(worker_buffers *b, const worker_need *need, err *e);

/* The memory that the option allows for buffers also bounds what is kept for each of `count` chunks or
 * the like, `what`: ERR_MEMORY, with a hint, if `each` bytes for all of them would be more. `where`
 * begins the message. */
MUST_CHECK err_code worker_list_check(const char *where, const char *what, uint64_t count,
                                      size_t each, uint64_t memory, err *e);

static inline unsigned char *worker_buffers_part(const worker_buffers *b, unsigned worker,
                                                 unsigned part)
{
    return b->of[worker] + b->begin[part];
}

/* Fine after a failure, and for one that is zero. */
void worker_buffers_free(worker_buffers *b);

#endif
