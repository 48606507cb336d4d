/* octavo unpack: extracts tensors and embedded files from a packed file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bin/cmd.h"
#include "bin/cli/job_options.h"
#include "bin/cli/text.h"
#include "bin/cli/value.h"
#include "bin/sandbox/sandbox.h"
#include "convert/unpack/unpack.h"
#include "format/base/printable.h"

typedef struct unpack_request {
    job_options job;
    unpack_options options;
    report *report;
} unpack_request;

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    unpack_request *const q = ctx;
    static const unpack_form forms[] = {
#define X(name, word) UNPACK_##name,
        UNPACK_LIST(X)
#undef X
    };
    unsigned word = 0;
    switch (o->id) {
    case OPTION_OUTPUT:
        q->options.output = value;
        return OK;
    case OPTION_DEQUANTIZE:
        TRY(value_word("--dequantize", value, o->words, &word, e));
        q->options.form = forms[word];
        return OK;
    case OPTION_FORCE:
        q->options.force = true;
        return OK;
    default:
        return job_on_option(&q->job, o, value, e);
    }
}

/* ---- the request ----------------------------------------------- */

static unpack_place place_of(const char *output)
{
    const char *const dot = strrchr(output, '.');
    if (strcmp(output, "-") == 0) {
        return UNPACK_NOWHERE;
    }
    return dot && strcmp(dot, ".safetensors") == 0 ? UNPACK_FILE : UNPACK_DIRECTORY;
}

/* The first operand is the packed file; the others are names. */
static err_code set_operands(unpack_request *q, const command_line *line, err *e)
{
    q->options.path = line->operands[0];
    q->options.names = line->operands + 1;
    q->options.name_count = line->operand_count - 1;
    q->options.place = place_of(q->options.output);
    for (size_t i = 0; i < q->options.name_count; i++) {
        TRY(value_glob("NAME", q->options.names[i], e));
    }
    if (q->options.place == UNPACK_NOWHERE && q->report->json) {
        return err_set(e, ERR_USAGE,
                       "-o - and --json cannot be combined: both write to standard output");
    }
    if (q->options.place == UNPACK_NOWHERE && q->options.form != UNPACK_STORED) {
        return err_set(e, ERR_USAGE,
                       "-o - and --dequantize cannot be combined: -o - writes an embedded file");
    }
    return OK;
}

/* ---- the result ------------------------------------------------ */

static const char *form_name(unpack_form form)
{
    static const char *const names[] = {[UNPACK_STORED] = "stored",
#define X(name, word) [UNPACK_##name] = (word),
                                        UNPACK_LIST(X)
#undef X
    };
    return names[form];
}

static json_t *tensor_json(report *r, const unpack_tensor *t)
{
    json_t *const o = json_object();
    report_put(r, o, "name", report_text(t->name));
    report_put(r, o, "dtype", report_text(dtype_name(t->type)));
    report_put(r, o, "shape", report_shape(r, t->shape, t->ndim));
    report_put(r, o, "bytes", report_number(t->bytes));
    return o;
}

static json_t *file_json(report *r, const member *f)
{
    json_t *const o = json_object();
    report_put(r, o, "name", report_text(f->name));
    report_put(r, o, "bytes", report_number(f->bytes));
    return o;
}

static void put_result(report *r, const unpack_job *job, double seconds)
{
    json_t *const tensors = json_array();
    json_t *const files = json_array();
    for (size_t i = 0; i < job->tensor_count; i++) {
        report_append(r, tensors, tensor_json(r, &job->tensors[i]));
    }
    for (size_t i = 0; i < job->file_count; i++) {
        report_append(r, files, file_json(r, &job->files[i]));
    }
    report_put(r, r->root, "format", report_text(form_name(job->options.form)));
    report_put(r, r->root, "tensors", tensors);
    report_put(r, r->root, "files", files);
    report_put(r, r->root, "bytes_read", report_number(job->bytes_read));
    report_put(r, r->root, "bytes_written", report_number(job->bytes_written));
    report_put(r, r->root, "seconds", report_real(seconds));
}

static void print_result(const unpack_job *job, double seconds)
{
    shown size, time, rate;
    char output[256];
    printable(output, sizeof output, job->options.output);
    printf("%s: %zu tensor%s, ", output, job->tensor_count, text_s(job->tensor_count));
    if (job->options.place == UNPACK_DIRECTORY) {
        printf("%zu file%s, ", job->file_count, text_s(job->file_count));
    }
    printf("%s in %s (%s)\n", text_size(size.s, job->bytes_written), text_seconds(time.s, seconds),
           text_rate(rate.s, job->bytes_written, seconds));
}

/* ---- the command ----------------------------------------------- */

/* Print the one selected file and nothing else. Failed writes are reported when standard output is
 * closed. */
static err_code print_file(const unpack_job *job, err *e)
{
    if (job->file_count != 1) {
        return err_set(e, ERR_USAGE, "-o - writes one embedded file, but %zu match",
                       job->file_count);
    }
    fwrite(job->files[0].data, 1, job->files[0].bytes, stdout);
    return OK;
}

static err_code unpack(unpack_request *q, const command_line *line, unpack_job *job, err *e)
{
    report *const r = q->report;
    const monitor *const m = job_start(&q->job, r);
    TRY(sandbox_enter(COMMAND_UNPACK, line, job_explains(&q->job, m), e));
    if (r->json) {
        report_put(r, r->root, "kind", report_text("unpacking"));
        report_put(r, r->root, "path", report_text(q->options.path));
        report_put(r, r->root, "output", report_text(q->options.output));
    }
    TRY(unpack_prepare(&q->options, m, job, e));
    if (q->options.place == UNPACK_NOWHERE) {
        return print_file(job, e);
    }
    const double start = progress_clock();
    TRY(unpack_run(job, m, e));
    const double seconds = progress_clock() - start;
    if (r->json) {
        put_result(r, job, seconds);
    } else if (report_says(r, LEVEL_NORMAL)) {
        print_result(job, seconds);
    }
    return OK;
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    unpack_request q = {.report = r, .job = job_defaults()};
    unpack_job job = {0};
    command_line line;
    TRY(options_parse(COMMAND_UNPACK, argc, argv, on_option, &q, &line, e));
    if (line.action != ACTION_RUN) {
        return cmd_answer(line.action, COMMAND_UNPACK, r, e);
    }
    TRY(set_operands(&q, &line, e));
    q.options.threads = q.job.threads;
    q.options.memory = q.job.memory;
    const err_code code = unpack(&q, &line, &job, e);
    unpack_close(&job);
    return code;
}

const command cmd_unpack = {
    .run = run, .on_option = on_option, .request_bytes = sizeof(unpack_request)};
