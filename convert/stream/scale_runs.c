/* A run goes through three states: not begun (buffer NO_BUFFER, items_left > 0), in a buffer, and
 * over (buffer NO_BUFFER, items_left 0). It begins when the first of its items is acquired, and is
 * over when the last is finished. If all its items were skipped it is over without having begun,
 * and nothing is written. If only some were skipped, the scales of those stay zero; the run is
 * written, but the conversion ends with an error anyway (nonfinite.h). */
#include "convert/stream/scale_runs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/thread/cancellable_wait.h"

enum { BUFFERS = 2, NO_BUFFER = -1 };

/* Scale records [first, end) of one layer: bytes [off, off + bytes) of the file. */
typedef struct run {
    uint32_t first, end;
    uint64_t off, bytes;
    uint64_t items_left; /* not yet finished */
    int buffer;          /* NO_BUFFER: not begun, or over */
} run;

/* `lock` guards items_left and buffer of the runs, next, busy and stopped; `freed` is signalled
 * when a buffer becomes free or when the next run may begin. The buffers themselves need no lock:
 * items write different parts of them, and the lock in scale_runs_finish orders all of these writes
 * before the run is written to the file. */
struct scale_runs {
    const pack_table *table;
    const monitor *m;
    run *runs;
    uint32_t run_count;
    uint32_t *run_of; /* [table.count], for scale records */
    uint32_t next;    /* the first run that may still have to begin */
    unsigned char *buffers[BUFFERS];
    bool busy[BUFFERS];
    bool stopped;
    pthread_mutex_t lock;
    pthread_cond_t freed;
};

/* The run that begins at the scale record `first`: all scale records that follow in its layer. */
static run run_at(const pack_table *t, uint32_t first)
{
    run r = {.first = first, .end = first, .off = t->records[first].off, .buffer = NO_BUFFER};
    while (r.end < t->count && t->records[r.end].cls == CLASS_SCALES &&
           t->records[r.end].layer == t->records[first].layer) {
        r.bytes = t->records[r.end].off + t->records[r.end].len - r.off;
        r.end++;
    }
    return r;
}

static uint64_t largest_run(const pack_table *t, uint32_t *count)
{
    uint64_t largest = 0;
    *count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->records[i].cls == CLASS_SCALES) {
            const run r = run_at(t, i);
            largest = num_max(largest, r.bytes);
            ++*count;
            i = r.end - 1;
        }
    }
    return largest;
}

uint64_t scale_runs_bytes(const pack_table *t)
{
    uint32_t count = 0;
    return BUFFERS * largest_run(t, &count);
}

bool scale_runs_take_part(const pack_record *r)
{
    return r->cls == CLASS_SCALES || pack_record_has_stats(r);
}

/* The scale record that belongs to `record`: itself, or that of its scales if it holds codes. */
static uint32_t scales_of(const scale_runs *s, uint32_t record)
{
    const pack_record *const r = &s->table->records[record];
    return r->cls == CLASS_SCALES ? record : r->scale_idx;
}

static run *run_of(const scale_runs *s, uint32_t record)
{
    return &s->runs[s->run_of[scales_of(s, record)]];
}

/* List the runs, and for each scale record the run that it belongs to. */
static void find_runs(scale_runs *s)
{
    const pack_table *const t = s->table;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->records[i].cls == CLASS_SCALES) {
            const run r = run_at(t, i);
            for (uint32_t k = r.first; k < r.end; k++) {
                s->run_of[k] = s->run_count;
            }
            s->runs[s->run_count++] = r;
            i = r.end - 1;
        }
    }
}

err_code scale_runs_open(const pack_table *t, const work_list *w, const monitor *m,
                         scale_runs **out, err *e)
{
    scale_runs *const s = calloc(1, sizeof *s);
    if (!s) {
        return err_set(e, ERR_MEMORY, "no memory for scales");
    }
    *s = (scale_runs){
        .table = t, .m = m, .lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER};
    uint32_t count = 0;
    const uint64_t bytes = largest_run(t, &count);
    s->runs = calloc(count + (size_t)1, sizeof *s->runs);
    s->run_of = calloc(t->count + (size_t)1, sizeof *s->run_of);
    bool complete = s->runs && s->run_of;
    for (int i = 0; i < BUFFERS; i++) {
        s->buffers[i] = calloc(1, bytes + 1);
        complete = complete && s->buffers[i];
    }
    if (!complete) {
        scale_runs_close(s);
        return err_set(e, ERR_MEMORY, "no memory for the scales of a layer");
    }
    find_runs(s);
    for (uint64_t i = 0; i < w->count; i++) {
        if (scale_runs_take_part(&t->records[w->items[i].record])) {
            run_of(s, w->items[i].record)->items_left++;
        }
    }
    *out = s;
    return OK;
}

/* Call under the lock. Runs begin in file order, whichever thread comes first. Otherwise a stream,
 * which is written in file order, could deadlock: a slow thread with an early run would wait for a
 * buffer that two later runs hold, and the items of these runs would wait for their turn, which
 * comes after the early run. A run with no items left needs no buffer and is passed over. */
static bool may_begin(scale_runs *s, const run *r)
{
    const run *const runs = s->runs;
    while (s->next < s->run_count && &runs[s->next] != r &&
           (runs[s->next].buffer != NO_BUFFER || runs[s->next].items_left == 0)) {
        s->next++;
    }
    return r == &runs[s->next];
}

/* Call under the lock. Give `r` a free buffer unless it has one; false: it has to wait. The buffer
 * is cleared because gaps between records are padding, which is zero. The broadcast is for threads
 * of the next run, which may now begin in the other buffer. */
static bool take_buffer(scale_runs *s, run *r)
{
    if (r->buffer != NO_BUFFER) {
        return true;
    }
    if (!may_begin(s, r)) {
        return false;
    }
    for (int i = 0; i < BUFFERS && r->buffer == NO_BUFFER; i++) {
        if (!s->busy[i]) {
            s->busy[i] = true;
            r->buffer = i;
            memset(s->buffers[i], 0, r->bytes);
            pthread_cond_broadcast(&s->freed);
        }
    }
    return r->buffer != NO_BUFFER;
}

err_code scale_runs_acquire(scale_runs *s, uint32_t record, void **scales, err *e)
{
    const pack_record *const scale = &s->table->records[scales_of(s, record)];
    run *const r = run_of(s, record);
    pthread_mutex_lock(&s->lock);
    while (!s->stopped && !take_buffer(s, r)) {
        const bool cancelled = cancellable_wait(&s->freed, &s->lock, s->m);
        s->stopped = s->stopped || cancelled;
    }
    const bool stopped = s->stopped;
    const int buffer = r->buffer;
    pthread_mutex_unlock(&s->lock);
    if (stopped) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    /* Records start at multiples of 256 in the file and so in the buffer: aligned for floats. */
    *scales = s->buffers[buffer] + (scale->off - r->off);
    return OK;
}

static err_code write_run(const scale_runs *s, const run *r, const unsigned char *data, output *o,
                          pack_evidence *v, err *e)
{
    for (uint32_t i = r->first; i < r->end; i++) {
        const pack_record *const scale = &s->table->records[i];
        for (uint64_t k = 0; k < scale->chunk_count; k++) {
            const pack_chunk c = pack_record_chunk(scale, k);
            TRY(digest_of(v->alg, data + (c.off - r->off), c.bytes,
                          pack_evidence_chunk(v, scale->chunk_first + k), e));
        }
    }
    return output_write(o, r->off, data, r->bytes, e);
}

err_code scale_runs_finish(scale_runs *s, uint32_t record, output *o, pack_evidence *v, err *e)
{
    run *const r = run_of(s, record);
    pthread_mutex_lock(&s->lock);
    const bool done = --r->items_left == 0;
    const bool to_write = done && r->buffer != NO_BUFFER;
    if (done && !to_write) {
        pthread_cond_broadcast(&s->freed); /* over without having begun: the next run may begin */
    }
    pthread_mutex_unlock(&s->lock);
    if (!to_write) {
        return OK;
    }
    /* No other thread touches the run now. The buffer is freed even if the write fails: the threads
     * that wait for it have to wake up and see that the job has ended. */
    const err_code code = write_run(s, r, s->buffers[r->buffer], o, v, e);
    pthread_mutex_lock(&s->lock);
    s->busy[r->buffer] = false;
    r->buffer = NO_BUFFER;
    pthread_cond_broadcast(&s->freed);
    pthread_mutex_unlock(&s->lock);
    return code;
}

void scale_runs_stop(scale_runs *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    pthread_cond_broadcast(&s->freed);
    pthread_mutex_unlock(&s->lock);
}

void scale_runs_close(scale_runs *s)
{
    if (!s) {
        return;
    }
    for (int i = 0; i < BUFFERS; i++) {
        free(s->buffers[i]);
    }
    free(s->runs);
    free(s->run_of);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->freed);
    free(s);
}
