#include "format/checkpoint/shard_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/file/io.h"

typedef struct slot {
    direct_file file; /* file.fd -1: empty */
    uint32_t shard;
    unsigned users;
    uint64_t last_use;
} slot;

struct shard_cache {
    const shard *shards;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t idle;  /* a slot has lost its last user */
    uint64_t clock;
    slot slots[SHARD_CACHE_SLOTS];
};

shard_cache *shard_cache_new(const shard *shards)
{
    shard_cache *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    *c = (shard_cache){
        .shards = shards, .lock = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER};
    for (size_t i = 0; i < SHARD_CACHE_SLOTS; i++) {
        c->slots[i].file.fd = -1;
    }
    return c;
}

static slot *find(shard_cache *c, uint32_t idx)
{
    for (size_t i = 0; i < SHARD_CACHE_SLOTS; i++) {
        if (c->slots[i].file.fd >= 0 && c->slots[i].shard == idx) {
            return &c->slots[i];
        }
    }
    return NULL;
}

/* A slot for another file: an empty one, else the least recently used one; NULL if all are in use.
 * Empty slots, which were never used or failed to open, count as oldest. */
static slot *find_victim(shard_cache *c)
{
    slot *oldest = NULL;
    for (size_t i = 0; i < SHARD_CACHE_SLOTS; i++) {
        slot *s = &c->slots[i];
        if (s->users == 0 && (!oldest || s->last_use < oldest->last_use)) {
            oldest = s;
        }
    }
    return oldest;
}

static err_code fill(shard_cache *c, slot *s, uint32_t idx, err *e)
{
    if (s->file.fd >= 0) {
        direct_close(&s->file);
    }
    s->file.fd = -1;
    s->shard = idx;
    s->last_use = 0;
    int fd = -1;
    struct stat st;
    bool touched = false; /* is judged at the end: checkpoint_unchanged */
    const shard *const from = &c->shards[idx];
    TRY(io_open_read(shard_file(from), &fd, &st, e));
    const err_code code = file_stamp_check(&from->stamp, &st, from->path, &touched, e);
    if (code != OK) {
        close(fd);
        return code;
    }
    direct_init(&s->file, from->path, fd);
    s->file.again = shard_file(from);
    return OK;
}

/* Called with the lock held, which is also held while a file is opened: that is rare, since shards
 * are read in order, and so no shard can be opened twice. */
static err_code find_or_open(shard_cache *c, uint32_t idx, slot **found, err *e)
{
    for (;;) {
        *found = find(c, idx);
        if (*found) {
            return OK;
        }
        *found = find_victim(c);
        if (*found) {
            return fill(c, *found, idx, e);
        }
        pthread_cond_wait(&c->idle, &c->lock);
    }
}

err_code shard_cache_acquire(shard_cache *c, uint32_t idx, direct_file **file, err *e)
{
    err_code code = OK;
    slot *s = NULL;
    pthread_mutex_lock(&c->lock);
    TRY_OUT(find_or_open(c, idx, &s, e));
    s->users++;
    s->last_use = ++c->clock;
    *file = &s->file;
out:
    pthread_mutex_unlock(&c->lock);
    return code;
}

void shard_cache_release(shard_cache *c, uint32_t idx)
{
    pthread_mutex_lock(&c->lock);
    slot *s = find(c, idx);
    if (--s->users == 0) {
        pthread_cond_broadcast(&c->idle);
    }
    pthread_mutex_unlock(&c->lock);
}

void shard_cache_free(shard_cache *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < SHARD_CACHE_SLOTS; i++) {
        if (c->slots[i].file.fd >= 0) {
            direct_close(&c->slots[i].file);
        }
    }
    pthread_cond_destroy(&c->idle);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
