#include "bin/cli/report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cli/signals.h"
#include "bin/cli/standard_output.h"
#include "bin/cli/text.h"
#include "format/base/digest.h"
#include "format/json/json.h"
#include "format/json/json_memory.h"
#include "format/base/printable.h"

void report_start(report *r, command_id c, bool json)
{
    *r = (report){.command = c,
                  .json = json,
                  .level = LEVEL_NORMAL,
                  .failed_allocations = json_failed_allocations()};
    if (json) {
        r->root = json_object();
        report_put(r, r->root, "schema", json_integer(1));
    }
}

void report_open_output(report *r)
{
    standard_output_open(&r->failure);
}

static void on_stage(void *ctx, const char *name, uint64_t total_bytes)
{
    progress_stage(&((report *)ctx)->progress, name, total_bytes);
}

static void on_advance(void *ctx, uint64_t bytes)
{
    progress_advance(&((report *)ctx)->progress, bytes);
}

static bool on_cancelled(void *ctx)
{
    (void)ctx;
    return signals_pending() != 0;
}

static void on_note(void *ctx, const char *text)
{
    report *const r = ctx;
    progress_clear(&r->progress);
    if (r->level > LEVEL_QUIET) {
        char line[1024];
        printable(line, sizeof line, text);
        fprintf(stderr, "octavo: note: %s\n", line);
    }
    if (r->json) {
        if (!json_object_get(r->root, "notes")) {
            report_put(r, r->root, "notes", json_array());
        }
        report_append(r, json_object_get(r->root, "notes"), report_text(text));
    }
}

const monitor *report_monitor(report *r, progress_when when)
{
    const bool silent = when == PROGRESS_AUTO && (r->json || r->level == LEVEL_QUIET);
    progress_init(&r->progress, stderr, silent ? PROGRESS_NEVER : when);
    r->watched = true;
    r->monitor = (monitor){.stage = on_stage,
                           .advance = on_advance,
                           .cancelled = on_cancelled,
                           .note = on_note,
                           .ctx = r};
    return &r->monitor;
}

bool report_says(report *r, report_level level)
{
    if (r->watched) {
        progress_clear(&r->progress);
    }
    return !r->json && r->level >= level;
}

void report_error(report *r, const char *format, ...)
{
    char text[1024], line[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (r->watched) {
        progress_clear(&r->progress);
    }
    fprintf(stderr, "octavo: %s\n", printable(line, sizeof line, text));
}

static int exit_status(const report *r, err_code code)
{
    return r->signal ? 128 + r->signal : err_exit_status(code);
}

/* The effect of a signal may look like another failure: after SIGXFSZ, a write fails because the
 * file is too large. The code must match the exit status. */
static err_code shown_code(const report *r, err_code code)
{
    return exit_status(r, code) == err_exit_status(code) ? code : ERR_CANCELLED;
}

/* Errors of the command line name the command, because its help explains what is allowed. */
static void print_error(const report *r, const err *e)
{
    const bool usage = e->code == ERR_USAGE && r->command != COMMAND_NONE;
    fprintf(stderr, "octavo%s%s: %s\n", usage ? " " : "",
            usage ? command_table[r->command].name : "", e->text);
    if (e->hint[0]) {
        fprintf(stderr, "hint: %s\n", e->hint);
    }
}

static void put_error(report *r, const err *e)
{
    json_t *const object = json_object();
    report_put(r, object, "code", report_text(err_name(shown_code(r, e->code))));
    report_put(r, object, "status", json_integer(exit_status(r, e->code)));
    report_put(r, object, "message", report_text(e->text));
    if (e->hint[0]) {
        report_put(r, object, "hint", report_text(e->hint));
    }
    report_put(r, r->root, "error", object);
}

/* True if the reader of a pipe went away, as `head` does: nobody needs a message then. */
static bool reader_is_gone(err_code code)
{
    return signals_pending() == SIGPIPE && (code == ERR_IO || code == ERR_CANCELLED);
}

/* An object from which something is missing would be a false word. Reals have 17 digits, so that
 * they read back as the same float64. Names are exact, but everything that is not ASCII is escaped:
 * a terminal shows what a reader decodes. NULL: no memory. */
static char *object_text(const report *r)
{
    const size_t flags = JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(17);
    const bool whole = !r->no_memory && json_failed_allocations() == r->failed_allocations;
    return whole ? json_write_text(r->root, flags) : NULL;
}

void report_failed_object(err_code code, int status, char text[REPORT_FAILED_BYTES])
{
    snprintf(text, REPORT_FAILED_BYTES,
             "{\"schema\":1,\"error\":{\"code\":\"%s\",\"status\":%d,\"message\":\"%s\"}}\n",
             err_name(code), status, err_description(code));
}

static err_code print_object(const report *r, err_code code)
{
    char *const text = object_text(r);
    if (text) {
        puts(text); /* close_output sees if this fails */
        free(text);
        return code;
    }
    if (code != ERR_MEMORY) {
        fprintf(stderr, "octavo: no memory for the report\n");
    }
    char failed[REPORT_FAILED_BYTES];
    code = err_worse(code, ERR_MEMORY);
    report_failed_object(shown_code(r, code), exit_status(r, code), failed);
    fputs(failed, stdout);
    return code;
}

/* Buffered output is written only now, so a full disk may show only here. */
static err_code close_output(const report *r, err *e)
{
    const bool failed = ferror(stdout) != 0;
    if (fclose(stdout) != 0 || r->failure != 0) {
        return err_set_errno(e, ERR_IO, r->failure ? r->failure : errno, "standard output");
    }
    return failed ? err_set(e, ERR_IO, "standard output: could not be written completely") : OK;
}

/* A command that returns OK has done its work, so the signal came too late to stop it. */
static err_code late_signal(err *e)
{
    *e = (err){0};
    return err_set(e, ERR_CANCELLED, "interrupted when the work was done: the result is complete");
}

int report_finish(report *r, err_code code, const err *e)
{
    err failure = *e;
    r->finished = true;
    if (r->watched) {
        progress_free(&r->progress);
    }
    r->signal = signals_pending();
    code = code == OK && r->signal ? late_signal(&failure) : code;
    err_set(&failure, code, "%s", err_description(code));
    failure.code = code;
    if (code != OK && !reader_is_gone(code)) {
        print_error(r, &failure);
    }
    if (r->json && code != OK) {
        put_error(r, &failure);
    }
    if (r->json) {
        code = print_object(r, code);
    }
    json_decref(r->root);
    err late = {0};
    if (close_output(r, &late) != OK) {
        if (!reader_is_gone(ERR_IO)) {
            print_error(r, &late);
        }
        code = err_worse(code, ERR_IO);
        r->signal = signals_pending(); /* it may have ended the writing */
    } else if (!r->signal) {
        signals_forget();
    }
    return exit_status(r, code);
}

json_t *report_number(uint64_t n)
{
    if (n <= INT64_MAX) {
        return json_integer((json_int_t)n);
    }
    return json_sprintf("%" PRIu64, n);
}

json_t *report_real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

json_t *report_hex(const unsigned char *data, size_t bytes)
{
    char hex[2 * DIGEST_MAX + 1];
    hex_encode(data, bytes < DIGEST_MAX ? bytes : DIGEST_MAX, hex);
    return json_string(hex);
}

json_t *report_text(const char *s)
{
    if (!s) {
        return json_null();
    }
    json_t *value = json_string(s);
    if (!value) { /* not UTF-8, such as a file name, or a message that was truncated */
        char *const copy = printable_copy(s);
        value = copy ? json_string(copy) : NULL;
        free(copy);
    }
    return value;
}

json_t *report_shape(report *r, const uint64_t *shape, unsigned ndim)
{
    json_t *const list = json_array();
    for (unsigned i = 0; i < ndim; i++) {
        report_append(r, list, report_number(shape[i]));
    }
    return list;
}

void report_put(report *r, json_t *to, const char *key, json_t *value)
{
    if (json_object_set_new(to, key, value) != 0) {
        r->no_memory = true;
    }
}

void report_append(report *r, json_t *to, json_t *value)
{
    if (json_array_append_new(to, value) != 0) {
        r->no_memory = true;
    }
}
