#include "bin/verify/verify_prepare.h"

#include <sys/stat.h>
#include <unistd.h>

#include "bin/verify/verify_tokens.h"
#include "format/checkpoint/checkpoint_inputs.h"
#include "format/output/inputs.h"
#include "format/file/io.h"
#include "format/output/output.h"
#include "format/store/model_path.h"
#include "verify/arch/archs.h"
#include "verify/forward/forward.h"
#include "verify/model/model_tensors.h"
#include "verify/model/model_run.h"

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

static err_code is_input(const void *ctx, const struct stat *st, bool *is_one, err *e)
{
    const verify_inputs *const in = ctx;
    const forward_request *const f = &in->q->forward;
    TRY(is_of_model(in->model, st, is_one, e));
    TRY(is_of_model(in->against, st, is_one, e));
    TRY(is_of_model(in->versus, st, is_one, e));
    TRY(verify_tokens_is_text(in, st, is_one, e));
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

/* Read the configuration of every model that is to run; reading one fails if it is not supported. */
static err_code read_configs(const verify_inputs *in, model_config *config, err *e)
{
    model_config source;
    TRY(model_config_read(in->model, model_archs, NULL, config, e));
    TRY(in->versus ? model_config_read(in->versus, model_archs, NULL, &source, e) : OK);
    return in->against ? model_config_read(in->against, model_archs, NULL, &source, e) : OK;
}

static err_code prepare_forward(verify_inputs *in, err *e)
{
    const forward_request *const f = &in->q->forward;
    model_config config;
    limits_default(&in->limits);
    TRY(verify_tokens_find(in, e));
    if (f->dump) {
        TRY(check_dump(in, e));
    }
    if (f->limits) {
        TRY(limits_read(f->limits, &in->limits, e));
    }
    TRY(read_configs(in, &config, e));
    const err_code code = verify_tokens_get(in, config.vocab, e);
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
    dir_list_free(&in->texts);
    reference_close(in->reference);
    store_close(in->against);
    store_close(in->versus);
    store_close(in->model);
    pack_close(in->packed);
    if (in->fd >= 0) {
        close(in->fd); /* it was only read: closing cannot lose data */
    }
}
