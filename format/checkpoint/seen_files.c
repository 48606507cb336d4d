#include "format/checkpoint/seen_files.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct seen_files {
    pthread_mutex_t lock; /* guards everything below */
    seen_file *files;
    size_t count, capacity;
};

seen_files *seen_files_new(void)
{
    seen_files *const s = calloc(1, sizeof *s);
    if (s && pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return NULL;
    }
    return s;
}

static bool make_room(seen_files *s)
{
    if (s->count < s->capacity) {
        return true;
    }
    const size_t capacity = s->capacity ? 2 * s->capacity : 16;
    seen_file *const grown = reallocarray(s->files, capacity, sizeof *grown);
    if (grown) {
        s->files = grown;
        s->capacity = capacity;
    }
    return grown;
}

err_code seen_files_add(seen_files *s, const char *name, const file_stamp *stamp, const char *data,
                        size_t bytes, err *e)
{
    seen_file f = {.name = strdup(name), .stamp = *stamp};
    digest_xxh3(data, bytes, f.xxh3);
    pthread_mutex_lock(&s->lock);
    const bool added = f.name && make_room(s);
    if (added) {
        s->files[s->count++] = f;
    }
    pthread_mutex_unlock(&s->lock);
    if (!added) {
        free(f.name);
        return err_set(e, ERR_MEMORY, "%s: no memory", name);
    }
    return OK;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const seen_file *)a)->name, ((const seen_file *)b)->name);
}

const seen_file *seen_files_sorted(seen_files *s, size_t *count)
{
    pthread_mutex_lock(&s->lock);
    if (s->count > 1) {
        qsort(s->files, s->count, sizeof *s->files, compare);
    }
    *count = s->count;
    const seen_file *const files = s->files;
    pthread_mutex_unlock(&s->lock);
    return files;
}

void seen_files_free(seen_files *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->count; i++) {
        free(s->files[i].name);
    }
    free(s->files);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
