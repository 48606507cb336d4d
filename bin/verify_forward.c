/* The third check of verify: run the model. Tokens are made ready, the pass is run, and what it
 * measured is printed and judged. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bin/forward_report.h"
#include "bin/text.h"
#include "bin/text.h"
#include "bin/verify_request.h"
#include "format/cpu_level.h"
#include "format/num.h"
#include "verify/forward.h"
#include "verify/limits.h"
#include "verify/ops_cpu.h"
#include "verify/token_input.h"
#include "verify/tokenizer.h"

enum { DEFAULT_LENGTH = 512, DEFAULT_SEQUENCES = 8 };

/* What the check opens on its way, and closes whatever happens. */
typedef struct forward_check {
    verify_request *q;
    const monitor *monitor;
    store *model, *against; /* against: NULL without */
    reference *reference;
    token_input tokens;
    limits limits;
    ops *ops;
    forward_options options;
    size_t tokens_left;
} forward_check;

/* ---- tokens -------------------------------------------------------------------------------------
 */

/* The tokenizer of the operand, or of its source if that alone has one. */
static err_code load_tokenizer(const forward_check *c, tokenizer **out, err *e)
{
    char *json = NULL;
    size_t bytes = 0;
    err_code code = store_file(c->model, "tokenizer.json", &json, &bytes, e);
    if (code == OK && !json && c->against) {
        code = store_file(c->against, "tokenizer.json", &json, &bytes, e);
    }
    if (code == OK && !json) {
        err_set(e, ERR_INPUT, "%s: has no tokenizer.json, which --text needs", c->q->path);
        err_hint(e, "give token ids with --tokens");
        return ERR_INPUT;
    }
    if (code == OK) {
        code = tokenizer_create("tokenizer.json", json, bytes, out, e);
    }
    free(json);
    return code;
}

static err_code tokens_of_text(forward_check *c, err *e)
{
    tokenizer *t = NULL;
    char *text = NULL;
    size_t bytes = 0;
    token_list list = {0};
    err_code code = load_tokenizer(c, &t, e);
    if (code == OK) {
        code = token_input_text(c->q->forward.text, &text, &bytes, e);
    }
    if (code == OK) {
        code = tokenizer_encode(t, text, bytes, &list, e);
        if (code != OK) {
            err_prefix(e, "%s", c->q->forward.text);
        }
    }
    c->tokens = (token_input){.ids = list.ids, .count = list.count};
    free(text);
    tokenizer_free(t);
    return code;
}

/* A reference dictates tokens and sequences. */
static err_code tokens_of_reference(forward_check *c, err *e)
{
    size_t sequences = 0;
    size_t length = 0;
    uint32_t *ids = NULL;
    err_code code = reference_open(c->q->forward.reference, &c->reference, e);
    if (code == OK) {
        code = reference_ids(c->reference, &ids, &sequences, &length, e);
    }
    for (size_t i = 0; i < sequences * length && code == OK; i++) {
        if (ids[i] > INT32_MAX) {
            code = err_set(e, ERR_INPUT, "%s: input_ids: %u is no token", c->q->forward.reference,
                           ids[i]);
        }
    }
    c->tokens = (token_input){.ids = (int32_t *)ids, .count = sequences * length, .row = length};
    return code;
}

/* Cut the tokens into sequences; rows that the input brings stay as they are. */
static err_code cut_sequences(forward_check *c, err *e)
{
    const forward_request *const f = &c->q->forward;
    const token_input *const in = &c->tokens;
    const size_t length = in->row ? in->row : f->length ? f->length : DEFAULT_LENGTH;
    if (in->row && f->length && f->length != in->row) {
        return err_set(e, ERR_USAGE, "--length %u: the rows of the input have %zu tokens",
                       f->length, in->row);
    }
    if (in->count < length) {
        const char *const from = f->text ? f->text : f->tokens ? f->tokens : f->reference;
        err_set(e, ERR_INPUT, "%s: %zu token%s, less than one sequence of %zu", from, in->count,
                text_s(in->count), length);
        err_hint(e, "--length sets the tokens of a sequence");
        return ERR_INPUT;
    }
    const size_t wanted = f->sequences ? f->sequences : c->reference ? UINT_MAX : DEFAULT_SEQUENCES;
    c->options.length = length;
    c->options.sequences = num_min(in->count / length, wanted);
    if (c->reference && c->options.sequences * length != in->count) {
        return err_set(e, ERR_USAGE, "--sequences makes no sense with --reference");
    }
    c->options.ids = in->ids;
    c->tokens_left = in->count - c->options.sequences * length;
    return OK;
}

static err_code get_tokens(forward_check *c, err *e)
{
    const forward_request *const f = &c->q->forward;
    model_config config;
    err_code code = model_config_read(c->model, NULL, &config, e);
    if (code == OK && f->text) {
        code = tokens_of_text(c, e);
    } else if (code == OK && f->reference) {
        code = tokens_of_reference(c, e);
    } else if (code == OK) {
        code = token_input_read(f->tokens, config.vocab, &c->tokens, e);
    }
    if (code == OK && !f->tokens) {
        code = token_input_check(f->text ? f->text : f->reference, c->tokens.ids, c->tokens.count,
                                 config.vocab, e);
    }
    return code == OK ? cut_sequences(c, e) : code;
}

/* ---- running ------------------------------------------------------------------------------------
 */

static err_code open_models(forward_check *c, err *e)
{
    const verify_request *const q = c->q;
    err_code code = store_open(q->path, c->monitor, &c->model, e);
    if (code == OK && q->against) {
        code = store_open(q->against, c->monitor, &c->against, e);
    }
    return code;
}

/* At the lowest level every fused multiply-add is a call of the C library. */
static err_code say_if_slow(const forward_check *c, err *e)
{
    cpu_level level = CPU_BASELINE;
    const err_code code = cpu_level_choose(&level, e);
    if (code == OK && level == CPU_BASELINE) {
        monitor_note(c->monitor, "without vectors and fused multiply-add of the processor the "
                                 "forward pass is right, but slow");
    }
    return code;
}

static err_code prepare(forward_check *c, err *e)
{
    const forward_request *const f = &c->q->forward;
    c->options = (forward_options){
        .f32 = f->activations & ACTIVATIONS_F32,
        .fp8 = f->activations & ACTIVATIONS_FP8,
        .slopes = {f->slopes[0], f->slopes[1]},
        .prefill = f->modes & MODE_PREFILL,
        .decode = f->modes & MODE_DECODE,
        .threads = c->q->threads,
        .memory = c->q->memory,
        .dump = f->dump,
        .force = f->force,
    };
    limits_default(&c->limits);
    err_code code = f->limits ? limits_read(f->limits, &c->limits, e) : OK;
    if (code == OK) {
        code = open_models(c, e);
    }
    if (code == OK) {
        code = get_tokens(c, e);
    }
    c->options.reference = c->reference;
    if (code == OK) {
        code = say_if_slow(c, e);
    }
    return code == OK ? ops_cpu_create(c->q->threads, &c->ops, e) : code;
}

static void complain_key(void *ctx, const char *key, const char *packed, const char *source)
{
    const verify_request *const q = ctx;
    report *const r = q->report;
    if (!r->json) {
        report_complain(r, "%s: config.json: %s: %s in the packed file, %s in the source", q->path,
                        key, packed, source);
        return;
    }
    json_t *list = json_object_get(r->root, "config_differences");
    if (!list) {
        list = json_array();
        report_put(r, r->root, "config_differences", list);
    }
    json_t *const o = json_object();
    report_put(r, o, "key", report_text(key));
    report_put(r, o, "packed", report_text(packed));
    report_put(r, o, "source", report_text(source));
    report_append(r, list, o);
}

/* The configurations, if the comparison of weights has not done it already. */
static err_code compare_configurations(forward_check *c, err *e)
{
    verify_request *const q = c->q;
    model_config packed;
    model_config source;
    if (!c->against || (q->checks & CHECK_WEIGHTS)) {
        return OK;
    }
    err_code code = model_config_read(c->model, NULL, &packed, e);
    if (code == OK) {
        code = model_config_read(c->against, NULL, &source, e);
    }
    if (code == OK && !model_config_same(&packed, &source, complain_key, q)) {
        code = err_set(e, ERR_DIFFERENT, "%s: its configuration is not that of %s", q->path,
                       q->against);
    }
    return code;
}

static err_code run(forward_check *c, forward_report *found, double *seconds, err *e)
{
    const double start = progress_clock();
    const err_code code =
        c->against
            ? forward_compare(c->against, c->model, &c->options, c->ops, c->monitor, found, e)
            : forward_single(c->model, &c->options, c->ops, c->monitor, found, e);
    *seconds = progress_clock() - start;
    return code;
}

/* ---- the check ----------------------------------------------------------------------------------
 */

static err_code tell(forward_check *c, const forward_report *found, double seconds, err *e)
{
    report *const r = c->q->report;
    const forward_subject subject = {
        .path = c->q->path,
        .against = c->q->against,
        .reference = c->q->forward.reference,
        .slopes = c->options.slopes,
        .tokens_left = c->tokens_left,
        .seconds = seconds,
    };
    err_code code = OK;
    if (r->json) {
        report_put(r, r->root, "forward", forward_json(r, &subject, found));
    } else if (report_says(r, LEVEL_NORMAL)) {
        code = forward_print(&subject, found, e);
    }
    return code == OK ? forward_judge(r, &subject, found, &c->limits, e) : code;
}

static void close_check(forward_check *c)
{
    if (c->ops) {
        c->ops->destroy(c->ops);
    }
    token_input_free(&c->tokens);
    reference_close(c->reference);
    store_close(c->against);
    store_close(c->model);
}

err_code verify_forward(verify_request *q, const monitor *m, err *e)
{
    forward_check c = {.q = q, .monitor = m};
    forward_report found = {0};
    double seconds = 0;
    err first = {0}; /* a difference of configurations; the models run all the same */
    err_code code = prepare(&c, e);
    const err_code configurations = code == OK ? compare_configurations(&c, &first) : OK;
    if (configurations != OK && configurations != ERR_DIFFERENT) {
        *e = first;
        code = configurations;
    }
    if (code == OK) {
        code = run(&c, &found, &seconds, e);
    }
    if (code == OK) {
        code = tell(&c, &found, seconds, e);
    }
    if (configurations == ERR_DIFFERENT && err_worse(code, configurations) == configurations) {
        *e = first;
        code = configurations;
    }
    forward_report_free(&found);
    close_check(&c);
    return code;
}
