#include "format/checkpoint/shard_sample.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/file/io.h"

enum { SPOTS = 8, SPOT_BYTES = 4096 };

typedef struct spot {
    atomic_bool taken; /* the thread that sets it fills in the rest */
    uint32_t bytes;
    uint64_t off;
    unsigned char xxh3[XXH3_BYTES];
} spot;

struct shard_sample {
    const shard *shards;
    spot (*spots)[SPOTS]; /* of each shard */
};

shard_sample *shard_sample_new(const shard *shards, size_t count)
{
    shard_sample *const s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->shards = shards;
    s->spots = calloc(count + 1, sizeof *s->spots);
    if (!s->spots) {
        free(s);
        return NULL;
    }
    return s;
}

void shard_sample_see(shard_sample *s, uint32_t idx, uint64_t off, const void *data, size_t bytes)
{
    const shard *const from = &s->shards[idx];
    const uint64_t within = num_min(off - from->base, from->bytes - 1);
    spot *const at = &s->spots[idx][within / num_ceil_div(from->bytes, SPOTS)];
    if (bytes > 0 && !atomic_load(&at->taken) && !atomic_exchange(&at->taken, true)) {
        at->off = off;
        at->bytes = (uint32_t)num_min(bytes, SPOT_BYTES);
        digest_xxh3(data, at->bytes, at->xxh3);
    }
}

static err_code check_header(const shard *s, int fd, err *e)
{
    st_header h;
    err late = {0};
    const err_code code = st_header_read_at(fd, s->path, s->base, s->bytes, NULL, &h, &late);
    if (code == ERR_INPUT) { /* it was right before */
        return file_stamp_refuse(s->path, e);
    }
    if (code != OK) {
        return err_set(e, code, "%s", late.text);
    }
    const bool same = h.header_bytes == s->header_bytes &&
                      memcmp(h.sha256, s->header_sha256, sizeof h.sha256) == 0;
    st_header_free(&h);
    return same ? OK : file_stamp_refuse(s->path, e);
}

err_code shard_sample_check(const shard_sample *s, uint32_t idx, int fd, err *e)
{
    const shard *const from = &s->shards[idx];
    TRY(check_header(from, fd, e));
    for (size_t i = 0; i < SPOTS; i++) {
        const spot *const at = &s->spots[idx][i];
        unsigned char data[SPOT_BYTES];
        unsigned char found[XXH3_BYTES];
        TRY(io_read_at(fd, from->path, at->off, data, at->bytes, e));
        digest_xxh3(data, at->bytes, found);
        if (at->bytes > 0 && memcmp(found, at->xxh3, sizeof found) != 0) {
            return file_stamp_refuse(from->path, e);
        }
    }
    return OK;
}

void shard_sample_free(shard_sample *s)
{
    if (s) {
        free(s->spots);
        free(s);
    }
}
