/* What verify reads beside the packed file, opened and looked at before the first check: that may
 * take minutes, and what only headers and small files have to say is said before.
 *
 *     verify_inputs in;
 *     if (verify_prepare(q, m, &in, e) == OK) ...
 *     verify_inputs_close(&in);                     in every case */
#ifndef VERIFY_PREPARE_H
#define VERIFY_PREPARE_H

#include "bin/verify/verify_request.h"
#include "format/checkpoint/checkpoint.h"
#include "verify/forward/limits.h"
#include "verify/forward/reference.h"
#include "format/store/model_store.h"
#include "verify/tokenizer/token_input.h"

struct verify_inputs {
    const verify_request *q;
    const monitor *monitor;
    bool in_doubt;      /* what failed may be damage, which the check of integrity tells better */
    checkpoint *source; /* to compare weights with; NULL: they are not compared */
    store *model, *against; /* to run; NULL: is not run */
    limits limits;
    reference *reference; /* NULL: none */
    token_input tokens;
    size_t sequences, length; /* what the tokens are cut into */
    size_t tokens_left;
};

/* ERR_USAGE, ERR_IO, ERR_INPUT, ERR_MEMORY, ERR_CANCELLED; with in_doubt any. */
MUST_CHECK err_code verify_prepare(const verify_request *q, const monitor *m, verify_inputs *in,
                                   err *e);
void verify_inputs_close(verify_inputs *in);

#endif
