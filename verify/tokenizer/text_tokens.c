#include "verify/tokenizer/text_tokens.h"

#include "verify/tokenizer/text_source.h"
#include "verify/tokenizer/token_input.h"

static err_code add_text(const text_tokens_request *r, const text_piece *t, token_list *out, err *e)
{
    const size_t before = out->count;
    if (before > TOKEN_INPUT_MAX_IDS) {
        return err_set(e, ERR_INPUT, "the texts before it have %zu tokens, at most %d are allowed",
                       before, TOKEN_INPUT_MAX_IDS);
    }
    TRY(tokenizer_encode(r->tokenizer, t->data, t->bytes, r->monitor, out, e));
    return token_input_check(NULL, out->ids + before, out->count - before, r->vocab, e);
}

static err_code add_texts(const text_tokens_request *r, text_source *s, token_list *out, err *e)
{
    while (out->count < r->wanted) {
        text_piece t;
        TRY(text_source_next(s, &t, e));
        if (!t.data) {
            return OK;
        }
        const err_code code = add_text(r, &t, out, e);
        if (code != OK) {
            text_source_place(s, e);
            return code;
        }
        monitor_advance(r->monitor, t.bytes);
    }
    return OK;
}

err_code text_tokens(const text_tokens_request *r, token_list *out, bool *ended, err *e)
{
    text_source *s = NULL;
    err_code code = OK;
    *ended = false;
    monitor_stage(r->monitor, "tokenize", 0); /* nobody knows how much of the texts it will take */
    TRY_OUT(text_source_open(r->files, r->field, r->monitor, &s, e));
    code = add_texts(r, s, out, e);
    code = code == OK ? text_source_ended(s, ended, e) : code;
    code = text_source_check(s, code, e);
out:
    text_source_close(s);
    return code;
}
