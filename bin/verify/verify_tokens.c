#include "bin/verify/verify_tokens.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "bin/cli/text.h"
#include "format/base/num.h"
#include "format/output/inputs.h"
#include "verify/tokenizer/text_files.h"
#include "verify/tokenizer/text_source.h"
#include "verify/tokenizer/text_tokens.h"

enum { DEFAULT_LENGTH = 512, DEFAULT_SEQUENCES = 8 };

static size_t wanted_length(const forward_request *f)
{
    return f->length ? f->length : DEFAULT_LENGTH;
}

static size_t wanted_sequences(const forward_request *f)
{
    return f->sequences ? f->sequences : f->reference ? UINT_MAX : DEFAULT_SEQUENCES;
}

/* ---- texts ----------------------------------------------------- */

err_code verify_tokens_find(verify_inputs *in, err *e)
{
    const forward_request *const f = &in->q->forward;
    return text_files_find(f->texts, f->text_count, f->text_field, in->monitor, &in->texts, e);
}

/* Standard input may have been redirected from a file. */
static err_code is_standard_input(const struct stat *st, bool *is_one, err *e)
{
    struct stat in;
    if (fstat(STDIN_FILENO, &in) != 0) {
        return err_set_errno(e, ERR_IO, errno, "standard input: cannot stat");
    }
    *is_one = *is_one || (in.st_dev == st->st_dev && in.st_ino == st->st_ino);
    return OK;
}

err_code verify_tokens_is_text(const verify_inputs *in, const struct stat *st, bool *is_one, err *e)
{
    for (size_t i = 0; i < in->texts.count; i++) {
        const char *const name = in->texts.names[i];
        TRY(strcmp(name, "-") == 0 ? is_standard_input(st, is_one, e)
                                   : input_is(name, st, is_one, e));
    }
    return OK;
}

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

static err_code tokens_of_texts(verify_inputs *in, uint64_t vocab, err *e)
{
    const forward_request *const f = &in->q->forward;
    const size_t sequences = wanted_sequences(f);
    tokenizer *t = NULL;
    token_list list = {0};
    err_code code = OK;
    TRY_OUT(load_tokenizer(in, &t, e));
    const text_tokens_request request = {
        .tokenizer = t,
        .files = &in->texts,
        .field = f->text_field ? f->text_field : TEXT_SOURCE_FIELD,
        .wanted = sequences == UINT_MAX ? SIZE_MAX : sequences * wanted_length(f),
        .vocab = vocab,
        .monitor = in->monitor,
    };
    code = text_tokens(&request, &list, &in->text_ended, e);
out:
    in->tokens = (token_input){.ids = list.ids, .count = list.count};
    tokenizer_free(t);
    return code;
}

/* ---- a reference ----------------------------------------------- */

/* Tokens and sequences are those of the reference. */
static err_code tokens_of_reference(verify_inputs *in, uint64_t vocab, err *e)
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
    return token_input_check(path, in->tokens.ids, in->tokens.count, vocab, e);
}

/* ---- sequences ------------------------------------------------- */

static err_code refuse_few(const verify_inputs *in, size_t length, err *e)
{
    const forward_request *const f = &in->q->forward;
    const char *const from = f->text_count > 1 ? "--text"
                             : f->text         ? f->text
                             : f->tokens       ? f->tokens
                                               : f->reference;
    err_set(e, ERR_INPUT, "%s: %zu token%s, fewer than one sequence of %zu", from, in->tokens.count,
            text_s(in->tokens.count), length);
    err_hint(e, "--length sets the number of tokens in a sequence");
    return ERR_INPUT;
}

/* Divide the tokens into sequences; the rows of an input are its sequences. */
static err_code divide(verify_inputs *in, err *e)
{
    const forward_request *const f = &in->q->forward;
    const size_t count = in->tokens.count;
    const size_t row = in->tokens.row;
    const size_t length = row ? row : wanted_length(f);
    if (row && f->length && f->length != row) {
        return err_set(e, ERR_USAGE, "--length %u: the rows of the input have %zu tokens",
                       f->length, row);
    }
    if (count < length) {
        return refuse_few(in, length, e);
    }
    in->length = length;
    in->sequences = num_min(count / length, wanted_sequences(f));
    in->tokens_dropped = count - in->sequences * length;
    return in->reference && in->tokens_dropped > 0
               ? err_set(e, ERR_USAGE, "--sequences cannot be combined with --reference")
               : OK;
}

err_code verify_tokens_get(verify_inputs *in, uint64_t vocab, err *e)
{
    const forward_request *const f = &in->q->forward;
    TRY(f->tokens ? token_input_read(f->tokens, vocab, &in->tokens, e)
        : f->text ? tokens_of_texts(in, vocab, e)
                  : tokens_of_reference(in, vocab, e));
    return divide(in, e);
}
