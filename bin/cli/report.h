/* How a command talks: results on standard output, everything else on standard error; with --json
 * one object on standard output, whatever happens.
 *
 *     report r;
 *     report_start(&r, COMMAND_VERIFY, json);
 *     const monitor *m = report_monitor(&r, PROGRESS_AUTO);
 *     ... the job ...
 *     if (r.json) report_put(&r, r.root, "bytes", report_number(n));
 *     else if (report_says(&r, LEVEL_NORMAL)) printf(...);
 *     return report_finish(&r, code, &e);
 *
 * Not shared between threads, but for the monitor. */
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
    json_t *root;   /* the object of --json; NULL without */
    bool no_memory; /* the object lacks something */
    bool watched;   /* progress is set up */
    int failure;    /* errno value of standard output, 0: none */
    progress progress;
    monitor monitor;
} report;

void report_start(report *r, command_id c, bool json);

/* The program's standard output is the report's from here on, until report_finish. */
void report_take_output(report *r);

/* A monitor that shows progress, passes on notes and knows of signals. */
const monitor *report_monitor(report *r, progress_when when);

/* True if text of this level goes to standard output; takes the progress line away. */
bool report_says(report *r, report_level level);

/* One line of a list of complaints on standard error, "octavo: " before it. */
void report_complain(report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print the error if there is one, finish the object, close standard output. Returns the exit
 * status. */
int report_finish(report *r, err_code code, const err *e);

/* Values for the object of --json. NULL without memory, which report_put and report_append
 * remember. ---- */

json_t *report_number(uint64_t n);                           /* beyond 2^63 - 1: a decimal string */
json_t *report_real(double x);                               /* null if it is not finite */
json_t *report_hex(const unsigned char *data, size_t bytes); /* lower case */
json_t *report_text(const char *s);                          /* null for NULL */
json_t *report_shape(report *r, const uint64_t *shape, unsigned ndim);

/* Take over `value`; to may be NULL, which is another value there was no memory for. */
void report_put(report *r, json_t *to, const char *key, json_t *value);
void report_append(report *r, json_t *to, json_t *value);

#endif
