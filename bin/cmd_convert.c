/* octavo convert: from the options a recipe, from the recipe a plan, from the plan a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/cmd.h"
#include "bin/cli/job_options.h"
#include "bin/compute/compute.h"
#include "bin/show/fit_report.h"
#include "bin/show/convert_report.h"
#include "bin/show/plan_notes.h"
#include "bin/cli/value.h"
#include "bin/sandbox/sandbox.h"
#include "format/file/io.h"
#include "format/json/json.h"
#include "verify/integrity/read_back.h"

/* What the command line asks for. Rules and globs keep its order. --scales, --dialect and
 * --recipe are applied after parsing, because options override the recipe wherever --recipe is
 * on the line. */
typedef struct convert_request {
    job_options job;
    convert_options options;
    compute_request compute;
    fit_request fit;
    recipe recipe, rules; /* `rules`: --keep and --quantize */
    embed_glob *globs;    /* as many as there are arguments */
    bool scales_given, dry_run;
    unsigned scales;
    pack_dialect dialect; /* DIALECT_NONE: not given */
    report *report;
} convert_request;

static err_code add_rule(convert_request *q, const char *option, const char *glob, bool quantize,
                         err *e)
{
    TRY(value_glob(option, glob, e));
    return recipe_add_rule(&q->rules, glob, quantize, true, e);
}

enum { MOST_EMBED = 10000 }; /* globs of --embed and --no-embed: each is tried on every file */

static err_code add_embed(convert_request *q, const char *option, const char *glob, bool embed,
                          err *e)
{
    TRY(value_glob(option, glob, e));
    if (q->options.embed_glob_count == MOST_EMBED) {
        return err_set(e, ERR_USAGE, "more than %d globs in --embed and --no-embed", MOST_EMBED);
    }
    q->globs[q->options.embed_glob_count++] = (embed_glob){glob, embed};
    return OK;
}

/* Options with a value, and those that other commands also have. */
static err_code on_value(convert_request *q, const option_spec *o, const char *value, err *e)
{
    unsigned number = 0;
    switch (o->id) {
    case OPTION_OUTPUT:
        q->options.output = value;
        return OK;
    case OPTION_SCALES:
        q->scales_given = true;
        return value_word("--scales", value, o->words, &q->scales, e);
    case OPTION_DIALECT:
        TRY(value_word("--dialect", value, o->words, &number, e));
        q->dialect = dialect_parse(value);
        return OK;
    case OPTION_KEEP:
        return add_rule(q, "--keep", value, false, e);
    case OPTION_QUANTIZE:
        return add_rule(q, "--quantize", value, true, e);
    case OPTION_RECIPE:
        q->options.recipe_path = value;
        return OK;
    case OPTION_EMBED:
        return add_embed(q, "--embed", value, true, e);
    case OPTION_NO_EMBED:
        return add_embed(q, "--no-embed", value, false, e);
    case OPTION_DIGEST:
        TRY(value_word("--digest", value, o->words, &number, e));
        q->options.digest = digest_algs[number];
        return OK;
    case OPTION_DEVICE:
    case OPTION_GPU_MEMORY:
    case OPTION_CHECK_DEVICE:
        return compute_on_option(&q->compute, o, value, e);
    case OPTION_FOR:
    case OPTION_TP:
    case OPTION_EP:
        return fit_on_option(&q->fit, o, value, e);
    default:
        return job_on_option(&q->job, o, value, e);
    }
}

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    convert_request *const q = ctx;
    switch (o->id) {
    case OPTION_SOURCE_SHA256:
        q->options.source_sha256 = true;
        return OK;
    case OPTION_NO_READ_BACK:
        q->options.check = NULL;
        return OK;
    case OPTION_REQUANTIZE:
        q->recipe.requantize = true;
        return OK;
    case OPTION_ALLOW_NONE:
        q->options.allow_none = true;
        return OK;
    case OPTION_DRY_RUN:
        q->dry_run = true;
        return OK;
    case OPTION_FORCE:
        q->options.force = true;
        return OK;
    default:
        return on_value(q, o, value, e);
    }
}

/* --scales and --dialect override the recipe. */
static err_code set_arithmetic(convert_request *q, err *e)
{
    recipe *const r = &q->recipe;
    if (q->scales_given) {
        r->scales = (scale_format)q->scales;
    }
    if (q->dialect != DIALECT_NONE) {
        r->dialect = q->dialect;
    }
    const char *const unsupported_reason = dialect_lacks(r->dialect, DTYPE_NONE, r->scales);
    return unsupported_reason ? err_set(e, ERR_USAGE, "%s", unsupported_reason) : OK;
}

static err_code read_recipe(const char *path, recipe *to, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    TRY(io_read_file(path, JSON_FILE_LIMIT, &text, &bytes, e));
    const err_code code = recipe_parse(to, path, text, bytes, e);
    free(text);
    return code;
}

/* The recipe file, then the rules of the command line. */
static err_code build_recipe(convert_request *q, err *e)
{
    if (q->options.recipe_path) {
        TRY(read_recipe(q->options.recipe_path, &q->recipe, e));
    }
    for (size_t i = 0; i < q->rules.rule_count; i++) {
        const recipe_rule *const rule = &q->rules.rules[i];
        TRY(recipe_add_rule(&q->recipe, rule->glob, rule->quantize, true, e));
    }
    return set_arithmetic(q, e);
}

/* ---- standard output ------------------------------------------- */

static bool to_stream(const convert_request *q)
{
    return q->options.output && strcmp(q->options.output, "-") == 0 && !q->dry_run;
}

static err_code check_stream(const convert_request *q, err *e)
{
    if (!to_stream(q)) {
        return OK;
    }
    if (q->report->json) {
        err_set(e, ERR_USAGE, "-o - and --json cannot be combined: both write to standard output");
        err_hint(e, "octavo inspect --json describes a packed file");
        return ERR_USAGE;
    }
    if (isatty(STDOUT_FILENO)) {
        err_set(e, ERR_USAGE, "-o - writes a packed file, but standard output is a terminal");
        err_hint(e, "redirect it to a pipe or a file: octavo convert ... -o - | octavo verify -");
        return ERR_USAGE;
    }
    return OK;
}

/* Duplicate standard output for the packed file, then send everything else that is printed to
 * standard error. */
static err_code open_stream(convert_options *o, err *e)
{
    o->output = "standard output";
    o->stream = true;
    o->stream_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (o->stream_fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot write", o->output);
    }
    return OK;
}

/* ---- the command ----------------------------------------------- */

/* Refuse an output that is the file behind a standard stream: with -f, it would be replaced while
 * it is in use, and /dev/stdout is a link that would itself be replaced. */
static err_code refuse_standard_streams(const char *output, err *e)
{
    struct stat named, opened;
    if (stat(output, &named) !=
        0) { /* a name that leads nowhere; other failures end the run later */
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES
                   ? OK
                   : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", output);
    }
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fstat(fd, &opened) != 0) {
            return err_set_errno(e, ERR_IO, errno, "standard stream %d: cannot stat", fd);
        }
        if (S_ISREG(named.st_mode) && named.st_dev == opened.st_dev &&
            named.st_ino == opened.st_ino) {
            return err_set(e, ERR_USAGE, "%s: the output is the same file as a standard stream",
                           output);
        }
    }
    return OK;
}

static err_code write_file(convert_request *q, convert_job *job, compute *c, const monitor *m,
                           err *e)
{
    convert_report done = {0};
    err_code code = OK;
    TRY_OUT(to_stream(q) ? open_stream(&job->options, e)
                         : refuse_standard_streams(q->options.output, e));
    TRY_OUT(compute_open(c, &q->compute, &job->slots, q->options.threads, m, e));
    TRY_OUT(convert_run(job, c->engine, m, &done, e));
out:
    compute_close(c, m);
    if (job->options.stream && close(job->options.stream_fd) != 0 && code == OK) {
        code = err_set_errno(e, ERR_IO, errno, "%s: cannot write", job->options.output);
    }
    return code == OK ? convert_report_done(q->report, job, c, &done, e) : code;
}

/* The config.json that is embedded; *text stays NULL if there is none. */
static err_code read_config(const embed_list *list, char **text, size_t *bytes, err *e)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->files[i].embedded && strcmp(list->files[i].name, "config.json") == 0) {
            return embed_read(list, i, JSON_FILE_LIMIT, text, bytes, e);
        }
    }
    return OK;
}

static err_code show_fit(const convert_request *q, const convert_job *job, const monitor *m, err *e)
{
    char *config = NULL;
    fit f = {0};
    fit_about about = {.path = job->options.source, .table = &job->plan.table, .monitor = m};
    err_code code = OK;
    TRY(read_config(&job->embed, &config, &about.config_bytes, e));
    about.config = config;
    TRY_OUT(fit_find(&q->fit, &about, &f, e));
    TRY_OUT(fit_show(&q->fit, &f, q->report, e));
    code = fit_judge(&f, about.path, e);
out:
    fit_free(&f);
    free(config);
    return code;
}

static err_code show_plan(const convert_request *q, const convert_job *job, const monitor *m,
                          err *e)
{
    TRY(convert_report_plan(q->report, job, e));
    return q->fit.asked ? show_fit(q, job, m, e) : OK;
}

static err_code convert(convert_request *q, const command_line *line, err *e)
{
    const monitor *const m = job_start(&q->job, q->report);
    convert_job job = {0};
    compute c = {0};
    err_code code = OK;
    TRY(fit_request_check(&q->fit, q->dry_run, e));
    TRY(check_stream(q, e));
    TRY(build_recipe(q, e));
    q->options.recipe = &q->recipe;
    q->options.embed_globs = q->globs;
    q->options.threads = q->job.threads;
    q->options.memory = q->job.memory;
    q->compute.explain = q->job.level == LEVEL_VERBOSE;
    if (!q->dry_run) {
        TRY(compute_find(&q->compute, m, &c, e));
    }
    if (c.devices.count == 0) {
        TRY_OUT(sandbox_enter(COMMAND_CONVERT, line, job_explains(&q->job, m), e));
    }
    TRY_OUT(convert_prepare(&q->options, m, &job, e));
    plan_note_states(&job.plan, m);
    plan_note_wide(&job.plan, m);
    TRY_OUT(q->dry_run ? show_plan(q, &job, m, e) : write_file(q, &job, &c, m, e));
    plan_note_unknown(&job.plan, m);
out:
    convert_close(&job);
    return code;
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    convert_request q = {.report = r,
                         .job = job_defaults(),
                         .compute = COMPUTE_DEFAULT,
                         .options = {.digest = DIGEST_XXH3, .check = integrity_read_back}};
    command_line line;
    q.globs = calloc((size_t)argc, sizeof *q.globs);
    if (!q.globs) {
        return err_set(e, ERR_MEMORY, "no memory for %d arguments", argc);
    }
    err_code code = OK;
    TRY_OUT(options_parse(COMMAND_CONVERT, argc, argv, on_option, &q, &line, e));
    if (line.action != ACTION_RUN) {
        code = cmd_answer(line.action, COMMAND_CONVERT, r, e);
    } else {
        q.options.source = line.operands[0];
        code = convert(&q, &line, e);
    }
out:
    recipe_free(&q.recipe);
    recipe_free(&q.rules);
    free(q.globs);
    return code;
}

const command cmd_convert = {
    .run = run, .on_option = on_option, .request_bytes = sizeof(convert_request)};
