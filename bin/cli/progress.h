/* Progress on one line: stage, bytes, speed, time left.
 *
 *     progress p;
 *     progress_init(&p, stderr, PROGRESS_AUTO);
 *     progress_stage(&p, "convert", total);
 *     progress_advance(&p, bytes);            from any thread
 *     progress_clear(&p);                     before something else is printed
 *     progress_free(&p);
 *
 * On a terminal the line is redrawn in place, at most four times a second and only while the
 * process is in the foreground. Elsewhere (PROGRESS_ALWAYS) one new line is printed per second. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* name, word of --progress */
#define PROGRESS_LIST(X)                                                                           \
    X(AUTO, "auto")                                                                                \
    X(ALWAYS, "always")                                                                            \
    X(NEVER, "never")

typedef enum progress_when {
#define X(name, word) PROGRESS_##name,
    PROGRESS_LIST(X)
#undef X
} progress_when;

typedef struct progress {
    FILE *to; /* NULL: prints nothing */
    bool terminal;
    progress_when when;
    pthread_mutex_t lock; /* guards `to` and the fields below */
    char stage[24];       /* empty: no stage yet */
    uint64_t done, total; /* bytes; total 0: unknown */
    double started, last; /* time when the stage started; time of the last drawing */
    bool on_screen;       /* the line is visible on the terminal */
} progress;

void progress_init(progress *p, FILE *to, progress_when when);
void progress_stage(progress *p, const char *name, uint64_t total);
void progress_advance(progress *p, uint64_t bytes);

/* Erase the line from the terminal; the next progress_advance draws it again. */
void progress_clear(progress *p);
void progress_free(progress *p);

/* The line, without line end: "convert  1.23 GB of 32.8 GB   4 %  2.31 GB/s  0:14 left". */
void progress_line(char *to, size_t room, const char *stage, uint64_t done, uint64_t total,
                   double seconds);

/* progress_advance at a given time, for tests. */
void progress_advance_at(progress *p, uint64_t bytes, double now);

/* Seconds of a monotonic clock. */
double progress_clock(void);

#endif
