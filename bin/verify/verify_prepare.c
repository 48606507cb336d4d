#include "bin/verify/verify_prepare.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/cli/text.h"
#include "format/checkpoint/checkpoint_inputs.h"
#include "format/output/inputs.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/output/output.h"
#include "format/store/model_path.h"
#include "verify/arch/archs.h"
#include "verify/forward/forward.h"
#include "verify/model/model_tensors.h"
#include "verify/model/model_run.h"
#include "verify/tokenizer/tokenizer.h"

enum { DEFAULT_LENGTH = 512, DEFAULT_SEQUENCES = 8 };

/* ---- tokens ---------------------------------------------------- */

/* The tokenizer of the operand, or of its source if that alone has one. */
static err_code load_tokenizer(const verify_inputs *in, tokenizer **out, err *e)
{
    char *json = NULL;
    size_t bytes = 0;
    err_code code = store_file(in->model, "tokenizer.json", &json, &bytes, e);
    if (code == OK && !json && in->against) {
        code = store_file(in->against, "tokenizer.json", &json, &bytes, e);
    }
    if (code == OK && !json) {
        err_set(e, ERR_INPUT, "%s: has no tokenizer.json, which --text needs", in->q->path);
        err_hint(e, "give token ids with --tokens");
        return ERR_INPUT;
    }
    if (code == OK) {
        code = tokenizer_create("tokenizer.json", json, bytes, out, e);
    }
    free(json);
    return code;
}

static err_code tokens_of_text(verify_inputs *in, err *e)
{
    tokenizer *t = NULL;
    char *text = NULL;
    size_t bytes = 0;
    token_list list = {0};
    err_code code = load_tokenizer(in, &t, e);
    if (code == OK) {
        code = token_input_text(in->q->forward.text, &text, &bytes, e);
    }
    if (code == OK) {
        code = tokenizer_encode(t, text, bytes, &list, e);
        if (code != OK) {
            err_prefix(e, "%s", in->q->forward.text);
        }
    }
    in->tokens = (token_input){.ids = list.ids, .count = list.count};
    free(text);
    tokenizer_free(t);
    return code;
}

/* A reference dictates tokens and sequences. */
static err_code tokens_of_reference(verify_inputs *in, err *e)
{
    size_t sequences = 0;
    size_t length = 0;
    uint32_t *ids = NULL;
    err_code code = reference_open(in->q->forward.reference, &in->reference, e);
    if (code == OK) {
        code = reference_ids(in->reference, &ids, &sequences, &length, e);
    }
    for (size_t i = 0; i < sequences * length && code == OK; i++) {
        if (ids[i] > INT32_MAX) {
            code = err_set(e, ERR_INPUT, "%s: input_ids: %u is no token", in->q->forward.reference,
                           ids[i]);
        }
    }
    in->tokens = (token_input){.ids = (int32_t *)ids, .count = sequences * length, .row = length};
    return code;
}

/* Cut the tokens into sequences; rows that the input brings stay as they are. */
static err_code cut_sequences(verify_inputs *in, err *e)
{
    const forward_request *const f = &in->q->forward;
    const size_t count = in->tokens.count;
    const size_t row = in->tokens.row;
    const size_t length = row ? row : f->length ? f->length : DEFAULT_LENGTH;
    if (row && f->length && f->length != row) {
        return err_set(e, ERR_USAGE, "--length %u: the rows of the input have %zu tokens",
                       f->length, row);
    }
    if (count < length) {
        const char *const from = f->text ? f->text : f->tokens ? f->tokens : f->reference;
        err_set(e, ERR_INPUT, "%s: %zu token%s, less than one sequence of %zu", from, count,
                text_s(count), length);
        err_hint(e, "--length sets the tokens of a sequence");
        return ERR_INPUT;
    }
    const size_t wanted = f->sequences    ? f->sequences
                          : in->reference ? UINT_MAX
                                          : DEFAULT_SEQUENCES;
    in->length = length;
    in->sequences = num_min(count / length, wanted);
    in->tokens_left = count - in->sequences * length;
    return in->reference && in->tokens_left > 0
               ? err_set(e, ERR_USAGE, "--sequences makes no sense with --reference")
               : OK;
}

/* Of every model that is to run: one that is not supported cannot. */
static err_code read_configs(const verify_inputs *in, model_config *config, err *e)
{
    model_config source;
    const err_code code = model_config_read(in->model, model_archs, NULL, config, e);
    return code == OK && in->against ? model_config_read(in->against, model_archs, NULL, &source, e)
                                     : code;
}

static err_code get_tokens(verify_inputs *in, model_config *config, err *e)
{
    const forward_request *const f = &in->q->forward;
    err_code code = read_configs(in, config, e);
    if (code == OK && f->text) {
        code = tokens_of_text(in, e);
    } else if (code == OK && f->reference) {
        code = tokens_of_reference(in, e);
    } else if (code == OK) {
        code = token_input_read(f->tokens, config->vocab, &in->tokens, e);
    }
    if (code == OK && !f->tokens) {
        code = token_input_check(f->text ? f->text : f->reference, in->tokens.ids, in->tokens.count,
                                 config->vocab, e);
    }
    return code == OK ? cut_sequences(in, e) : code;
}

/* ---- files ----------------------------------------------------- */

/* A packed file that can be read and not be opened is damaged, or none at all. */
static err_code open_operand(verify_inputs *in, err *e)
{
    const verify_request *const q = in->q;
    int fd = -1;
    if (q->checks != CHECK_FORWARD) {
        const err_code code = io_open_read(q->path, &fd, NULL, e);
        if (code != OK) {
            return code;
        }
        close(fd); /* nothing was written */
    }
    const err_code code =
        q->checks & CHECK_FORWARD ? store_open(q->path, in->monitor, &in->model, e) : OK;
    in->in_doubt = code != OK;
    return code;
}

/* Once for both checks: a compressed archive is unpacked when it is opened. */
static err_code open_against(verify_inputs *in, err *e)
{
    const verify_request *const q = in->q;
    if (q->checks & CHECK_FORWARD) {
        const err_code code = store_open(q->against, in->monitor, &in->against, e);
        in->source = code == OK ? in->against->source : NULL;
        if (code != OK || in->source || !(q->checks & CHECK_WEIGHTS)) {
            return code;
        }
    }
    return checkpoint_open(q->against, in->monitor, &in->source, e);
}

static bool is_of_model(const store *s, const struct stat *st)
{
    return s && (input_is(s->path, st) || (s->source && input_is_of_checkpoint(s->source, st)));
}

/* Standard input may have been redirected from a file. */
static bool is_text(const char *text, const struct stat *st)
{
    struct stat in;
    const bool standard = text && strcmp(text, "-") == 0;
    return standard
               ? fstat(STDIN_FILENO, &in) == 0 && in.st_dev == st->st_dev && in.st_ino == st->st_ino
               : input_is(text, st);
}

static bool is_input(const void *ctx, const struct stat *st)
{
    const verify_inputs *const in = ctx;
    const forward_request *const f = &in->q->forward;
    return is_of_model(in->model, st) || is_of_model(in->against, st) || is_text(f->text, st) ||
           input_is(f->tokens, st) || input_is(f->reference, st) || input_is(f->limits, st);
}

static err_code check_dump(const verify_inputs *in, err *e)
{
    const forward_request *const f = &in->q->forward;
    const err_code code = inputs_spare(f->dump, is_input, in, e);
    return code == OK ? output_check(f->dump, f->force, e) : code;
}

/* Which tensors are there, the comparison of weights tells better, if it is asked for. */
static err_code check_model(const verify_inputs *in, const store *s, err *e)
{
    model_config c;
    err_code code = model_config_read(s, model_archs, NULL, &c, e);
    if (code == OK && !(in->q->checks & CHECK_WEIGHTS)) {
        code = model_tensors_list(&c, s, e);
    }
    return code == OK ? run_check_length(s, &c, in->length, e) : code;
}

static err_code check_pass(const verify_inputs *in, const model_config *config, err *e)
{
    err_code code = in->against ? check_model(in, in->against, e) : OK;
    if (code == OK) {
        code = check_model(in, in->model, e);
    }
    return code == OK && in->reference
               ? forward_check_reference(in->reference, config, in->sequences * in->length,
                                         in->q->forward.slopes[0], e)
               : code;
}

static err_code prepare_forward(verify_inputs *in, err *e)
{
    const forward_request *const f = &in->q->forward;
    model_config config;
    limits_default(&in->limits);
    err_code code = f->dump ? check_dump(in, e) : OK;
    if (code == OK && f->limits) {
        code = limits_read(f->limits, &in->limits, e);
    }
    if (code == OK) {
        code = get_tokens(in, &config, e);
    }
    return code == OK ? check_pass(in, &config, e) : code;
}

err_code verify_prepare(const verify_request *q, const monitor *m, verify_inputs *in, err *e)
{
    *in = (verify_inputs){.q = q, .monitor = m};
    if (model_path_is_stream(q->path)) {
        return OK;
    }
    err_code code = open_operand(in, e);
    if (code == OK && q->against) {
        code = open_against(in, e);
    }
    if (code == OK && q->checks & CHECK_FORWARD) {
        code = prepare_forward(in, e);
    }
    in->in_doubt = in->in_doubt || code == ERR_DAMAGED;
    return code;
}

void verify_inputs_close(verify_inputs *in)
{
    if (!in->against || in->source != in->against->source) {
        checkpoint_close(in->source);
    }
    token_input_free(&in->tokens);
    reference_close(in->reference);
    store_close(in->against);
    store_close(in->model);
}
