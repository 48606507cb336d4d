#include "bin/verify/verify_prepare.h"

#include <errno.h>
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

static err_code read_file(void *ctx, const char *name, char **data, size_t *bytes, err *e)
{
    return store_file(ctx, name, data, bytes, e);
}

/* The tokenizer of the operand or, if it has none, of its source. */
static err_code load_tokenizer(const verify_inputs *in, tokenizer **out, err *e)
{
    TRY(tokenizer_load(NULL, read_file, in->model, in->monitor, out, e));
    if (!*out && in->against) {
        TRY(tokenizer_load(NULL, read_file, in->against, in->monitor, out, e));
    }
    if (*out) {
        return OK;
    }
    err_set(e, ERR_INPUT, "%s: has no tokenizer.json or tiktoken.model, which --text needs",
            in->q->path);
    err_hint(e, "give token ids with --tokens");
    return ERR_INPUT;
}

static err_code tokens_of_text(verify_inputs *in, err *e)
{
    tokenizer *t = NULL;
    char *text = NULL;
    size_t bytes = 0;
    token_list list = {0};
    err_code code = OK;
    TRY_OUT(load_tokenizer(in, &t, e));
    TRY_OUT(token_input_text(in->q->forward.text, &text, &bytes, e));
    code = tokenizer_encode(t, text, bytes, in->monitor, &list, e);
    err_prefix(code == OK ? NULL : e, "%s", in->q->forward.text);
out:
    in->tokens = (token_input){.ids = list.ids, .count = list.count};
    free(text);
    tokenizer_free(t);
    return code;
}

/* Tokens and sequences are those of the reference. */
static err_code tokens_of_reference(verify_inputs *in, err *e)
{
    size_t sequences = 0;
    size_t length = 0;
    uint32_t *ids = NULL;
    const char *const path = in->q->forward.reference;
    TRY(reference_open(path, &in->reference, e));
    TRY(reference_ids(in->reference, &ids, &sequences, &length, e));
    in->tokens = (token_input){.ids = (int32_t *)ids, .count = sequences * length, .row = length};
    for (size_t i = 0; i < in->tokens.count; i++) {
        if (ids[i] > INT32_MAX) {
            return err_set(e, ERR_INPUT, "%s: input_ids: %u is not a token id", path, ids[i]);
        }
    }
    return OK;
}

/* Divide the tokens into sequences; the rows of an input are its sequences. */
static err_code divide_tokens(verify_inputs *in, err *e)
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
        err_set(e, ERR_INPUT, "%s: %zu token%s, fewer than one sequence of %zu", from, count,
                text_s(count), length);
        err_hint(e, "--length sets the number of tokens in a sequence");
        return ERR_INPUT;
    }
    const size_t wanted = f->sequences    ? f->sequences
                          : in->reference ? UINT_MAX
                                          : DEFAULT_SEQUENCES;
    in->length = length;
    in->sequences = num_min(count / length, wanted);
    in->tokens_dropped = count - in->sequences * length;
    return in->reference && in->tokens_dropped > 0
               ? err_set(e, ERR_USAGE, "--sequences cannot be combined with --reference")
               : OK;
}

/* Read the configuration of every model that is to run; reading one fails if it is not supported. */
static err_code read_configs(const verify_inputs *in, model_config *config, err *e)
{
    model_config source;
    TRY(model_config_read(in->model, model_archs, NULL, config, e));
    TRY(in->versus ? model_config_read(in->versus, model_archs, NULL, &source, e) : OK);
    return in->against ? model_config_read(in->against, model_archs, NULL, &source, e) : OK;
}

static err_code get_tokens(verify_inputs *in, model_config *config, err *e)
{
    const forward_request *const f = &in->q->forward;
    TRY(read_configs(in, config, e));
    if (f->tokens) {
        TRY(token_input_read(f->tokens, config->vocab, &in->tokens, e));
    } else {
        TRY(f->text ? tokens_of_text(in, e) : tokens_of_reference(in, e));
        TRY(token_input_check(f->text ? f->text : f->reference, in->tokens.ids, in->tokens.count,
                              config->vocab, e));
    }
    return divide_tokens(in, e);
}

/* ---- files ----------------------------------------------------- */

static err_code open_model(verify_inputs *in, err *e)
{
    pack_file *p = NULL;
    if (in->fd < 0) {
        return store_open(in->q->path, in->monitor, &in->model, e);
    }
    TRY(pack_open_again(in->q->path, in->fd, &in->opened, &p, e));
    return store_open_packed(p, in->monitor, &in->model, e);
}

/* If a packed file can be read but not opened, it may be damaged; or it is not a packed file. */
static err_code open_operand(verify_inputs *in, err *e)
{
    const verify_request *const q = in->q;
    if (q->checks != CHECK_FORWARD) {
        struct stat st;
        TRY(io_open_read(q->path, &in->fd, &st, e));
        in->opened = file_stamp_of(&st);
    }
    if (!(q->checks & CHECK_FORWARD)) {
        return OK;
    }
    const err_code code = open_model(in, e);
    in->in_doubt = code != OK;
    return code;
}

/* Open the source once for both checks: opening a compressed archive unpacks all of it. */
static err_code open_against(verify_inputs *in, err *e)
{
    const verify_request *const q = in->q;
    if (q->checks & CHECK_FORWARD) {
        TRY(store_open(q->against, in->monitor, &in->against, e));
        in->source = in->against->source;
        if (in->source || !(q->checks & CHECK_WEIGHTS)) {
            return OK;
        }
    }
    return checkpoint_open(q->against, in->monitor, &in->source, e);
}

static err_code is_of_model(const store *s, const struct stat *st, bool *is_one, err *e)
{
    TRY(s ? input_is(s->path, st, is_one, e) : OK);
    return s && s->source ? input_is_of_checkpoint(s->source, st, is_one, e) : OK;
}

/* Standard input may have been redirected from a file. */
static err_code is_text(const char *text, const struct stat *st, bool *is_one, err *e)
{
    struct stat in;
    if (!text || strcmp(text, "-") != 0) {
        return input_is(text, st, is_one, e);
    }
    TRY(fstat(STDIN_FILENO, &in) == 0
            ? OK
            : err_set_errno(e, ERR_IO, errno, "standard input: cannot stat"));
    *is_one = *is_one || (in.st_dev == st->st_dev && in.st_ino == st->st_ino);
    return OK;
}

static err_code is_input(const void *ctx, const struct stat *st, bool *is_one, err *e)
{
    const verify_inputs *const in = ctx;
    const forward_request *const f = &in->q->forward;
    TRY(is_of_model(in->model, st, is_one, e));
    TRY(is_of_model(in->against, st, is_one, e));
    TRY(is_of_model(in->versus, st, is_one, e));
    TRY(is_text(f->text, st, is_one, e));
    TRY(input_is(f->tokens, st, is_one, e));
    TRY(input_is(f->reference, st, is_one, e));
    return input_is(f->limits, st, is_one, e);
}

static err_code check_dump(const verify_inputs *in, err *e)
{
    const forward_request *const f = &in->q->forward;
    TRY(inputs_spare(f->dump, is_input, in, e));
    return output_check(f->dump, f->force, e);
}

/* Missing tensors are left to the comparison of weights, which lists them all, if it is to run. */
static err_code check_model(const verify_inputs *in, const store *s, err *e)
{
    model_config c;
    TRY(model_config_read(s, model_archs, NULL, &c, e));
    if (!(in->q->checks & CHECK_WEIGHTS)) {
        TRY(model_tensors_list(&c, s, e));
    }
    return run_check_length(s, &c, in->length, e);
}

static err_code check_pass(const verify_inputs *in, const model_config *config, err *e)
{
    model_config versus;
    if (in->against) {
        TRY(check_model(in, in->against, e));
    }
    if (in->versus) {
        TRY(model_config_read(in->versus, model_archs, NULL, &versus, e));
        TRY(model_tensors_list(&versus, in->versus, e)); /* no comparison of weights lists them */
        TRY(run_check_length(in->versus, &versus, in->length, e));
    }
    TRY(check_model(in, in->model, e));
    if (in->reference) {
        TRY(forward_check_reference(in->reference, config, in->sequences * in->length,
                                    in->q->forward.slopes[0], e));
    }
    return OK;
}

static err_code prepare_forward(verify_inputs *in, err *e)
{
    const forward_request *const f = &in->q->forward;
    model_config config;
    limits_default(&in->limits);
    if (f->dump) {
        TRY(check_dump(in, e));
    }
    if (f->limits) {
        TRY(limits_read(f->limits, &in->limits, e));
    }
    const err_code code = get_tokens(in, &config, e);
    TRY(in->reference ? reference_end(in->reference, code, e) : code);
    return check_pass(in, &config, e);
}

static err_code open_all(verify_inputs *in, err *e)
{
    TRY(open_operand(in, e));
    if (in->q->against) {
        TRY(open_against(in, e));
    }
    if (in->q->forward.versus) {
        TRY(store_open(in->q->forward.versus, in->monitor, &in->versus, e));
    }
    return in->q->checks & CHECK_FORWARD ? prepare_forward(in, e) : OK;
}

err_code verify_prepare(const verify_request *q, const monitor *m, verify_inputs *in, err *e)
{
    *in = (verify_inputs){.q = q, .monitor = m, .fd = -1};
    if (model_path_is_stream(q->path)) {
        return OK;
    }
    const err_code code = open_all(in, e);
    in->in_doubt = in->in_doubt || code == ERR_DAMAGED;
    return code;
}

err_code verify_inputs_packed(verify_inputs *in, err *e)
{
    return in->packed ? OK : pack_open_again(in->q->path, in->fd, &in->opened, &in->packed, e);
}

void verify_inputs_close(verify_inputs *in)
{
    if (!in->against || in->source != in->against->source) {
        checkpoint_close(in->source);
    }
    token_input_free(&in->tokens);
    reference_close(in->reference);
    store_close(in->against);
    store_close(in->versus);
    store_close(in->model);
    pack_close(in->packed);
    if (in->fd >= 0) {
        close(in->fd); /* it was only read: closing cannot lose data */
    }
}
