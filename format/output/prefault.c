#include "format/output/prefault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/num.h"
#include "format/thread/parallel.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; headers may be older */
#endif

enum {
    SMALL_PAGE = 4096,
    STEP = 8 << 20, /* bytes of one call: collapsing begins with an interrupt of all processors */
    PROCESSORS_PER_THREAD = 4, /* one thread clears pages about as fast as four fill them */
    MAX_THREADS = 8,
    TRIES = 20,
};

typedef enum step_state { STEP_FREE, STEP_BUSY, STEP_DONE } step_state;

struct prefault {
    int fd;
    unsigned char *map;
    uint64_t bytes;
    unsigned char *steps; /* [step_count] step_state; NULL: small pages */
    uint64_t step_count;
    uint64_t next;        /* all steps before it are busy or done */
    bool refused;         /* no huge pages were left */
    bool small;           /* a thread has gone on with small pages, */
    uint64_t from;        /* from this byte on */
    pthread_mutex_t lock; /* of steps and the four fields above */
    pthread_cond_t done;  /* signaled after each step */
    pthread_t threads[MAX_THREADS];
    unsigned thread_count;
    atomic_bool stop;
};

/* ---- small pages ----------------------------------------------- */

/* Allocate pages from the first to the last, without clearing them: one thread does that about as
 * fast as the writers fill pages. A writer that is ahead of this thread allocates its own. */
static void *take_small(void *arg)
{
    prefault *const t = arg;
    int result = 0;
    for (uint64_t off = t->from; off < t->bytes && result == 0 && !atomic_load(&t->stop);) {
        const uint64_t n = num_min(t->bytes - off, STEP);
        result = fallocate(t->fd, 0, (off_t)off, (off_t)n);
        if (result == 0) {
            off += n;
        } else if (errno == EINTR) {
            result = 0;
        }
    }
    return NULL;
}

/* ---- huge pages ------------------------------------------------ */

/* MADV_COLLAPSE skips a huge page's range that is nothing but a hole, but takes one that has at
 * least one small page. So allocate one in each; by fallocate, because collapsing is fastest if the
 * page was never mapped: no processor has to flush it from its TLB. */
static int allocate_first_pages(int fd, uint64_t off, uint64_t bytes)
{
    int result = 0;
    for (uint64_t at = 0; at < bytes && result == 0; at += PREFAULT_ALIGN) {
        result = fallocate(fd, 0, (off_t)(off + at), SMALL_PAGE);
    }
    return result;
}

/* EAGAIN: the kernel is working on one of the pages at this moment. */
static int collapse(unsigned char *first, uint64_t bytes)
{
    int result = madvise(first, bytes, MADV_COLLAPSE);
    for (int i = 1; i < TRIES && result != 0 && errno == EAGAIN; i++) {
        result = madvise(first, bytes, MADV_COLLAPSE);
    }
    return result;
}

/* False if no huge pages are left, so that it is useless to ask again. The range is unmapped at
 * once: mapped pages count as memory of this process, and mapped_output.c maps what it writes
 * anyway. If that is refused (the caller has locked its memory), no more huge pages are
 * requested. */
static bool take_huge(const prefault *t, uint64_t off, uint64_t bytes)
{
    unsigned char *const first = t->map + off;
    const int result = allocate_first_pages(t->fd, off, bytes) == 0 ? collapse(first, bytes) : -1;
    const bool more = result == 0 || errno == EAGAIN || errno == EINTR;
    return madvise(first, bytes, MADV_DONTNEED) == 0 && more;
}

/* Called with the lock held; releases it during the system calls. */
static void take_step(prefault *t, uint64_t step)
{
    const uint64_t off = step * STEP;
    t->steps[step] = STEP_BUSY;
    pthread_mutex_unlock(&t->lock);
    const uint64_t whole = t->bytes / PREFAULT_ALIGN * PREFAULT_ALIGN;
    const bool more = take_huge(t, off, num_min(whole - off, STEP));
    pthread_mutex_lock(&t->lock);
    t->steps[step] = STEP_DONE;
    if (!more && !t->refused) {
        t->refused = true;
        t->from = off;
    }
    pthread_cond_broadcast(&t->done);
}

/* When no huge pages are left, the first thread that notices goes on with small ones; the other
 * threads end, because small pages are added one after another anyway. */
static void *take_steps(void *arg)
{
    prefault *const t = arg;
    pthread_mutex_lock(&t->lock);
    while (t->next < t->step_count && !t->refused && !atomic_load(&t->stop)) {
        const uint64_t step = t->next++;
        if (t->steps[step] == STEP_FREE) {
            take_step(t, step);
        }
    }
    const bool first = t->refused && !t->small;
    t->small = t->small || first;
    pthread_mutex_unlock(&t->lock);
    return first ? take_small(t) : NULL;
}

/* A writer takes a free step itself instead of waiting for the helper threads to get there, and
 * waits for a busy one: mapping its pages now would fill the range with small pages, and collapsing
 * mapped pages is slow. */
void prefault_need(prefault *t, uint64_t off, uint64_t bytes)
{
    if (!t || !t->steps) {
        return;
    }
    const uint64_t end = num_min(num_ceil_div(off + bytes, STEP), t->step_count);
    pthread_mutex_lock(&t->lock);
    for (uint64_t step = off / STEP; step < end; step++) {
        while (t->steps[step] == STEP_BUSY) {
            pthread_cond_wait(&t->done, &t->lock);
        }
        if (t->steps[step] == STEP_FREE && !t->refused) {
            take_step(t, step);
        }
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---- start and stop -------------------------------------------- */

/* Does the file system use huge pages by itself? The caller has mapped the first page of the file:
 * if that took the blocks of a huge page, it was one. */
static bool has_huge_pages(const prefault *t)
{
    struct stat st;
    return fstat(t->fd, &st) == 0 && st.st_blocks * 512 >= PREFAULT_ALIGN;
}

/* Use huge pages if the first one is available. */
static void try_huge(prefault *t)
{
    const uint64_t whole = t->bytes / PREFAULT_ALIGN * PREFAULT_ALIGN;
    if (whole == 0 || sysconf(_SC_PAGESIZE) != SMALL_PAGE || has_huge_pages(t) ||
        !take_huge(t, 0, PREFAULT_ALIGN)) {
        return;
    }
    t->step_count = num_ceil_div(whole, STEP);
    t->steps = calloc(t->step_count, 1);
}

static void start_threads(prefault *t)
{
    void *(*const take)(void *) = t->steps ? take_steps : take_small;
    const uint64_t shares = num_ceil_div(parallel_processors(), PROCESSORS_PER_THREAD);
    const unsigned wanted = t->steps ? (unsigned)num_min(shares, MAX_THREADS) : 1;
    while (t->thread_count < wanted &&
           pthread_create(&t->threads[t->thread_count], NULL, take, t) == 0) {
        t->thread_count++;
    }
}

prefault *prefault_start(int fd, unsigned char *map, uint64_t bytes)
{
    prefault *const t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    *t = (prefault){.fd = fd,
                    .map = map,
                    .bytes = bytes,
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .done = PTHREAD_COND_INITIALIZER};
    try_huge(t);
    start_threads(t);
    return t;
}

void prefault_stop(prefault *t)
{
    if (!t) {
        return;
    }
    atomic_store(&t->stop, true);
    for (unsigned i = 0; i < t->thread_count; i++) {
        pthread_join(t->threads[i], NULL);
    }
    pthread_cond_destroy(&t->done);
    pthread_mutex_destroy(&t->lock);
    free(t->steps);
    free(t);
}
