/* octavo verify: first everything that can be checked without reading weights, then integrity,
 * weights and the forward pass. Each step reports its findings before the next one starts;
 * corruption ends the command. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bin/cmd.h"
#include "bin/cli/value.h"
#include "bin/sandbox/sandbox.h"
#include "bin/verify/verify_prepare.h"
#include "format/store/model_path.h"

enum { LENGTH_MAX = 1 << 20, SEQUENCES_MAX = 1 << 20 };

/* ---- options --------------------------------------------------- */

static err_code parse_sequences(const char *value, unsigned *count, err *e)
{
    if (strcmp(value, "all") == 0) {
        *count = UINT_MAX;
        return OK;
    }
    return value_count("--sequences", value, 1, SEQUENCES_MAX, count, e);
}

/* "FORM" for both models, or "FORM,FORM" for the source and the packed model. */
static err_code parse_slopes(const char *value, const char *words, slope_form slopes[2], err *e)
{
    const char *const comma = strchr(value, ',');
    unsigned form = 0;
    char first[16];
    snprintf(first, sizeof first, "%.*s", comma ? (int)(comma - value) : (int)strlen(value), value);
    TRY(value_word("--slope", first, words, &form, e));
    slopes[0] = slopes[1] = (slope_form)form;
    if (comma) {
        TRY(value_word("--slope", comma + 1, words, &form, e));
        slopes[1] = (slope_form)form;
    }
    return OK;
}

/* The three words mean one thing, another thing, and both: *bits is 1, 2 or 3. */
static err_code parse_pair(const char *option, const char *value, const char *words, unsigned *bits,
                           err *e)
{
    unsigned number = 0;
    TRY(value_word(option, value, words, &number, e));
    *bits = number + 1;
    return OK;
}

/* Options of the forward pass, and those that other commands also have. */
static err_code on_forward_option(verify_request *q, const option_spec *o, const char *value,
                                  err *e)
{
    forward_request *const f = &q->forward;
    switch (o->id) {
    case OPTION_TEXT:
        f->text = value;
        break;
    case OPTION_TEXT_FIELD:
        f->text_field = value;
        break;
    case OPTION_TOKENS:
        f->tokens = value;
        break;
    case OPTION_REFERENCE:
        f->reference = value;
        break;
    case OPTION_LIMITS:
        f->limits = value;
        break;
    case OPTION_NO_IDEAL:
        f->no_ideal = true;
        break;
    case OPTION_VERSUS:
        f->versus = value;
        break;
    case OPTION_DUMP:
        f->dump = value;
        break;
    case OPTION_FORCE:
        f->force = true;
        break;
    case OPTION_LENGTH:
        TRY(value_count("--length", value, 1, LENGTH_MAX, &f->length, e));
        break;
    case OPTION_SEQUENCES:
        TRY(parse_sequences(value, &f->sequences, e));
        break;
    case OPTION_ACTIVATIONS:
        TRY(parse_pair("--activations", value, o->words, &f->activations, e));
        break;
    case OPTION_MODE:
        TRY(parse_pair("--mode", value, o->words, &f->modes, e));
        break;
    case OPTION_SLOPE:
        TRY(parse_slopes(value, o->words, f->slopes, e));
        break;
    default:
        return job_on_option(&q->job, o, value, e);
    }
    f->first_option = f->first_option ? f->first_option : o->name;
    return OK;
}

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    verify_request *const q = ctx;
    switch (o->id) {
    case OPTION_AGAINST:
        q->against = value;
        return OK;
    case OPTION_QUICK:
        q->quick = true;
        return OK;
    case OPTION_ONLY:
        return value_words("--only", value, o->words, &q->only, e);
    case OPTION_FORWARD:
        q->forward.wanted = true;
        return OK;
    case OPTION_TENSOR:
        q->tensor = value;
        return value_glob("--tensor", value, e);
    default:
        return on_forward_option(q, o, value, e);
    }
}

/* ---- which checks ---------------------------------------------- */

static err_code check_forward_options(const verify_request *q, err *e)
{
    const forward_request *const f = &q->forward;
    if (!f->wanted) {
        return f->first_option ? err_set(e, ERR_USAGE, "--%s requires --forward", f->first_option)
                               : OK;
    }
    if (f->text_field && !f->text) {
        return err_set(e, ERR_USAGE, "--text-field requires --text");
    }
    if (f->text && f->tokens) {
        return err_set(e, ERR_USAGE, "--text and --tokens cannot be combined");
    }
    if (f->reference && q->against) {
        return err_set(e, ERR_USAGE, "--reference and --against cannot be combined");
    }
    if (f->reference && (f->text || f->tokens)) {
        return err_set(e, ERR_USAGE,
                       "--reference and %s cannot be combined: the reference has tokens",
                       f->text ? "--text" : "--tokens");
    }
    if (!f->text && !f->tokens && !f->reference) {
        err_set(e, ERR_USAGE, "--forward requires --text FILE or --tokens FILE");
        err_hint(e, "or --reference FILE, which has tokens of its own");
        return ERR_USAGE;
    }
    if (f->slopes[0] != f->slopes[1] && !q->against) {
        return err_set(e, ERR_USAGE, "--slope with two values requires --against");
    }
    if ((f->versus || f->no_ideal) && !q->against) {
        return err_set(e, ERR_USAGE, "--%s requires --against", f->versus ? "versus" : "no-ideal");
    }
    if (f->force && !f->dump) {
        return err_set(e, ERR_USAGE, "--force requires --dump");
    }
    return OK;
}

/* A checkpoint has neither digests nor quantized weights to check. */
static err_code choose_for_checkpoint(verify_request *q, err *e)
{
    if (q->only && q->only != CHECK_FORWARD) {
        return err_set(e, ERR_USAGE, "%s is not a packed file; only --forward applies to it",
                       q->path);
    }
    if (q->tensor) {
        return err_set(e, ERR_USAGE, "--tensor cannot be used with a checkpoint");
    }
    q->checks = CHECK_FORWARD;
    return OK;
}

/* Refuse options that contradict each other. */
static err_code refuse_contradictions(const verify_request *q, err *e)
{
    if (q->quick && (q->against || q->only || q->tensor || q->forward.wanted)) {
        return err_set(e, ERR_USAGE, "--quick and %s cannot be combined: --quick reads no weights",
                       q->against  ? "--against"
                       : q->only   ? "--only"
                       : q->tensor ? "--tensor"
                                   : "--forward");
    }
    if ((q->only & CHECK_WEIGHTS) && !q->against) {
        return err_set(e, ERR_USAGE, "--only weights requires --against CHECKPOINT");
    }
    if (q->against && q->only && !(q->only & (CHECK_WEIGHTS | CHECK_FORWARD))) {
        return err_set(e, ERR_USAGE,
                       "--against conflicts with --only, which lists neither weights nor forward");
    }
    if (q->forward.wanted && q->only && !(q->only & CHECK_FORWARD)) {
        return err_set(e, ERR_USAGE,
                       "--forward conflicts with --only, which does not list forward");
    }
    return OK;
}

/* A stream can be read only once and as a whole. */
static err_code choose_for_stream(verify_request *q, err *e)
{
    const unsigned all = CHECK_STRUCTURE | CHECK_DIGESTS;
    const char *const option = q->against                  ? "--against"
                               : q->forward.wanted         ? "--forward"
                               : q->quick                  ? "--quick"
                               : q->tensor                 ? "--tensor"
                               : q->only && q->only != all ? "--only"
                                                           : NULL;
    if (option) {
        err_set(e, ERR_USAGE, "%s cannot be used with -: standard input can be read only once",
                option);
        err_hint(e, "give the name of the file instead of -");
        return ERR_USAGE;
    }
    if (isatty(STDIN_FILENO)) {
        return err_set(e, ERR_USAGE, "- reads a packed file, but standard input is a terminal");
    }
    q->checks = all;
    return OK;
}

static err_code choose_checks(verify_request *q, err *e)
{
    q->forward.wanted = q->forward.wanted || (q->only & CHECK_FORWARD);
    TRY(refuse_contradictions(q, e));
    TRY(check_forward_options(q, e));
    if (model_path_is_stream(q->path)) {
        return choose_for_stream(q, e);
    }
    model_kind kind = MODEL_UNKNOWN;
    TRY(q->forward.wanted ? model_path_find(q->path, &kind, e) : OK);
    if (model_is_checkpoint(kind)) {
        return choose_for_checkpoint(q, e);
    }
    q->checks = CHECK_STRUCTURE | CHECK_DIGESTS | (q->against ? CHECK_WEIGHTS : 0U) |
                (q->forward.wanted ? CHECK_FORWARD : 0U);
    if (q->only) {
        q->checks = q->only;
    }
    if (q->quick) {
        q->checks = CHECK_STRUCTURE;
    }
    if (q->tensor && !(q->checks & (CHECK_DIGESTS | CHECK_WEIGHTS))) {
        return err_set(e, ERR_USAGE, "--tensor and --only %s cannot be combined",
                       q->checks & CHECK_FORWARD ? "forward" : "structure");
    }
    return OK;
}

/* ---- the command ----------------------------------------------- */

/* Even if weights differ, it is worth comparing the models: both are reported, and the worse result
 * decides. */
static err_code verify_both(verify_request *q, verify_inputs *in, const monitor *m, err *e)
{
    err later = {0};
    const err_code weights = q->checks & CHECK_WEIGHTS ? verify_weights(q, in, m, e) : OK;
    if (!(q->checks & CHECK_FORWARD) || (weights != OK && weights != ERR_DIFFERENT)) {
        return weights;
    }
    const err_code forward = verify_forward(q, in, m, &later);
    const err_code worse = err_worse(weights, forward);
    if (forward != OK && weights != OK && !q->report->json) {
        report_error(q->report, "%s", worse == forward ? e->text : later.text);
    }
    if (forward != OK && worse == forward) {
        *e = later;
    }
    return worse;
}

/* If preparing failed, the packed file may be corrupted: check that first, and report the
 * corruption or else the failure. */
static err_code verify_prepared(verify_request *q, verify_inputs *in, const monitor *m, err *e)
{
    err early = {0};
    const bool integrity = q->checks & (CHECK_STRUCTURE | CHECK_DIGESTS);
    const err_code prepared = verify_prepare(q, m, in, &early);
    if (integrity && (prepared == OK || in->in_doubt)) {
        TRY(verify_integrity(q, in, m, e));
    }
    if (prepared != OK) {
        *e = early;
        return prepared;
    }
    return verify_both(q, in, m, e);
}

/* True if the command failed because the operand is a checkpoint. */
static bool is_for_forward(const char *path, err_code code)
{
    const bool maybe = code == ERR_IO || code == ERR_INPUT;
    model_kind kind = MODEL_UNKNOWN;
    if (!maybe || model_path_find(path, &kind, NULL) != OK) {
        return false; /* what failed first is reported */
    }
    return code == ERR_IO ? kind == MODEL_DIRECTORY : model_is_checkpoint(kind);
}

static err_code verify(verify_request *q, const command_line *line, err *e)
{
    report *const r = q->report;
    const monitor *const m = job_start(&q->job, r);
    TRY(sandbox_enter(COMMAND_VERIFY, line, job_explains(&q->job, m), e));
    verify_inputs in;
    if (r->json) {
        report_put(r, r->root, "kind", report_text("verification"));
        report_put(r, r->root, "path", report_text(q->path));
    }
    const err_code code = verify_prepared(q, &in, m, e);
    if (q->checks & (CHECK_STRUCTURE | CHECK_DIGESTS) && is_for_forward(q->path, code)) {
        err_hint(e, "a checkpoint requires --forward; octavo convert makes a packed file from it");
    }
    verify_inputs_close(&in);
    return code;
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    verify_request q = {
        .report = r,
        .job = job_defaults(),
        .forward = {.activations = ACTIVATIONS_F32, .modes = MODE_PREFILL},
    };
    command_line line;
    TRY(options_parse(COMMAND_VERIFY, argc, argv, on_option, &q, &line, e));
    if (line.action != ACTION_RUN) {
        return cmd_answer(line.action, COMMAND_VERIFY, r, e);
    }
    q.path = line.operands[0];
    q.forward.texts = line.repeated;
    q.forward.text_count = line.repeated_count;
    TRY(choose_checks(&q, e));
    return verify(&q, &line, e);
}

const command cmd_verify = {
    .run = run, .on_option = on_option, .request_bytes = sizeof(verify_request)};
