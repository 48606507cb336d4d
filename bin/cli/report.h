/* The output of a command: results on standard output, everything else on standard error; with
 * --json exactly one object on standard output, even on failure.
 *
 *     report r;
 *     report_start(&r, COMMAND_VERIFY, json);
 *     const monitor *m = report_monitor(&r, PROGRESS_AUTO);
 *     ... the job ...
 *     if (r.json) report_put(&r, r.root, "bytes", report_number(n));
 *     else if (report_says(&r, LEVEL_NORMAL)) printf(...);
 *     return report_finish(&r, code, &e);
 *
 * Not thread-safe, except for the monitor. */
#ifndef REPORT_H
#define REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bin/cli/options.h"
#include "bin/cli/progress.h"
#include "format/base/monitor.h"

typedef enum report_level { LEVEL_QUIET, LEVEL_NORMAL, LEVEL_VERBOSE } report_level;

typedef struct report {
    command_id command;
    bool json;
    report_level level;
    json_t *root;                     /* the object that --json prints; NULL without --json */
    bool no_memory;                   /* the object is incomplete */
    unsigned long failed_allocations; /* json_failed_allocations() when the report began */
    bool watched;                     /* progress is set up */
    bool finished;                    /* report_finish was called */
    int signal;  /* the one that ends the run; 0: none. Decided by report_finish */
    int failure; /* errno of a failed write to standard output; 0: none failed */
    progress progress;
    monitor monitor;
} report;

void report_start(report *r, command_id c, bool json);

/* Replace stdout by a stream that records failures in the report, until report_finish closes it. */
void report_open_output(report *r);

/* A monitor that shows progress, prints notes and is cancelled by signals. It belongs to the
 * report. */
const monitor *report_monitor(report *r, progress_when when);

/* True if text of this level is to be printed on standard output; clears the progress line. */
bool report_says(report *r, report_level level);

/* Print one of several errors on standard error, as a line "octavo: ...". */
void report_error(report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print the error if there is one, then the object of --json, and close standard output. Returns
 * the exit status. A signal that arrived after the work was done is such an error; one that arrives
 * when this has printed everything is ignored, so that object and exit status agree. An object that
 * memory did not suffice for is replaced by one that says so. */
int report_finish(report *r, err_code code, const err *e);

/* The object, with a newline, that --json prints if there is no memory for the real one. */
enum { REPORT_FAILED_BYTES = 256 };
void report_failed_object(err_code code, int status, char text[REPORT_FAILED_BYTES]);

/* Values for the object of --json. NULL if there is no memory; report_put and report_append record
 * that. ---- */

json_t *report_number(uint64_t n);                           /* above 2^63 - 1: a decimal string */
json_t *report_real(double x);                               /* null if it is not finite */
json_t *report_hex(const unsigned char *data, size_t bytes); /* lower case */
json_t *report_text(const char *s);                          /* null for NULL */
json_t *report_shape(report *r, const uint64_t *shape, unsigned ndim);

/* Take ownership of `value`. `to` and `value` may be NULL if there was no memory for them. */
void report_put(report *r, json_t *to, const char *key, json_t *value);
void report_append(report *r, json_t *to, json_t *value);

#endif
