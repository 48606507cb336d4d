/* Callbacks of a long job: progress, notes, and whether to stop.
 *
 *     monitor_stage(m, "read", total);
 *     while (...) {
 *         if (monitor_cancelled(m)) return err_set(e, ERR_CANCELLED, "interrupted");
 *         monitor_advance(m, bytes);
 *     }
 *
 * The libraries know nothing of terminals and signals; bin/ fills this in. Every member may be
 * NULL, and so may the pointer to a monitor. `advance` and `cancelled` are called by any thread,
 * `stage` and `note` by the thread that runs the job. */
#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

typedef struct monitor {
    void (*stage)(void *ctx, const char *name, uint64_t total_bytes); /* a new stage begins */
    void (*advance)(void *ctx, uint64_t bytes); /* `bytes` more bytes are done */
    bool (*cancelled)(void *ctx);               /* true: clean up and stop soon */
    void (*note)(void *ctx, const char *text);  /* a warning, one line */
    void *ctx;
} monitor;

static inline void monitor_stage(const monitor *m, const char *name, uint64_t total_bytes)
{
    if (m && m->stage) {
        m->stage(m->ctx, name, total_bytes);
    }
}

static inline void monitor_advance(const monitor *m, uint64_t bytes)
{
    if (m && m->advance) {
        m->advance(m->ctx, bytes);
    }
}

static inline bool monitor_cancelled(const monitor *m)
{
    return m && m->cancelled && m->cancelled(m->ctx);
}

/* For loops over input: ERR_CANCELLED, looked up once in a number of steps, if the job is to stop.
 *
 *     for (size_t i = 0; i < count; i++) {
 *         TRY(monitor_step(m, i, e));
 */
enum { MONITOR_STEPS = 4096 };

MUST_CHECK static inline err_code monitor_step(const monitor *m, size_t step, err *e)
{
    return step % MONITOR_STEPS == 0 && monitor_cancelled(m)
               ? err_set(e, ERR_CANCELLED, "interrupted")
               : OK;
}

/* Format a note; it is cut after 1023 bytes. */
void monitor_note(const monitor *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
