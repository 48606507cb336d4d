#include "format/thread/worker_buffers.h"

#include <inttypes.h>
#include <stdlib.h>

#include "format/base/num.h"

/* Where each part begins; returns the bytes of a buffer. A sum that does not fit is as good as
 * UINT64_MAX: no budget allows it. */
static uint64_t place_parts(worker_buffers *b, const worker_need *need)
{
    uint64_t end = 0;
    for (int i = 0; i < WORKER_PARTS_MAX; i++) {
        b->begin[i] = end;
        if (!num_add(end, need->bytes[i], &end)) {
            return UINT64_MAX;
        }
    }
    return end;
}

err_code worker_buffers_create(worker_buffers *b, const worker_need *need, err *e)
{
    const uint64_t each = place_parts(b, need);
    if (each > need->memory) {
        return err_set(e, ERR_MEMORY,
                       "tensor %s: %s takes buffers of %" PRIu64 " bytes, %" PRIu64 " are allowed",
                       need->tensor, need->task, each, need->memory);
    }
    /* Without any data there is nothing that a second worker could do. */
    b->workers = each > 0 ? (unsigned)num_min(need->threads, need->memory / each) : 1;
    b->of = calloc(b->workers, sizeof *b->of);
    for (unsigned i = 0; b->of && i < b->workers; i++) {
        void *buffer = NULL;
        if (posix_memalign(&buffer, WORKER_BUFFER_ALIGN, each > 0 ? each : 1) != 0) {
            return err_set(e, ERR_MEMORY, "no memory for %u buffers of %" PRIu64 " bytes",
                           b->workers, each);
        }
        b->of[i] = buffer;
    }
    return b->of ? OK : err_set(e, ERR_MEMORY, "no memory for buffers");
}

err_code worker_list_check(const char *where, const char *what, uint64_t count, size_t each,
                           uint64_t memory, err *e)
{
    if (count <= memory / each) {
        return OK;
    }
    err_set(e, ERR_MEMORY, "%s: %" PRIu64 " %s need %zu bytes each, %" PRIu64 " are allowed", where,
            count, what, each, memory);
    err_hint(e, "--memory SIZE allows more");
    return ERR_MEMORY;
}

void worker_buffers_free(worker_buffers *b)
{
    for (unsigned i = 0; b->of && i < b->workers; i++) {
        free(b->of[i]);
    }
    free(b->of);
    *b = (worker_buffers){0};
}
