/* Opens the inputs of verify before its first check, and checks whatever headers and small files
 * reveal: a check may take minutes, and a typing error should not have to wait for its end.
 *
 *     verify_inputs in;
 *     if (verify_prepare(q, m, &in, e) == OK) ...
 *     verify_inputs_close(&in);                     in every case
 *
 * A packed file is opened here once, and every check reads that descriptor: its name may lead to another
 * file at any time, and one verdict is about one file. */
#ifndef VERIFY_PREPARE_H
#define VERIFY_PREPARE_H

#include "bin/verify/verify_request.h"
#include "format/checkpoint/checkpoint.h"
#include "format/file/dir_list.h"
#include "verify/forward/limits.h"
#include "verify/forward/reference.h"
#include "format/store/model_store.h"
#include "verify/tokenizer/token_input.h"

struct verify_inputs {
    const verify_request *q;
    const monitor *monitor;
    bool in_doubt;      /* the failure may be damage, which the integrity check reports in detail */
    int fd;             /* of the operand; -1: a stream, or it is only run */
    file_stamp opened;  /* of the same, when it was opened */
    pack_file *packed;  /* the operand, as the first check that looked into it has found it; NULL:
                               none yet (verify_inputs_packed) */
    checkpoint *source; /* to compare weights with; NULL: they are not compared. That of
                               `against`, or owned */
    store *model, *against, *versus; /* models to run; NULL: not run */
    bool weights_proved; /* the check of weights has found every tensor to be its definition */
    limits limits;
    reference *reference; /* NULL: none */
    dir_list texts;       /* the files of --text */
    token_input tokens;
    size_t sequences, length; /* how the tokens are divided */
    size_t tokens_dropped;    /* after the last sequence that is used, of those that were made */
    bool text_ended;          /* no text was left unread */
};

/* Errors: ERR_USAGE, ERR_IO, ERR_INPUT, ERR_MEMORY, ERR_CANCELLED; with in_doubt any code. Close the
 * inputs in every case. */
MUST_CHECK err_code verify_prepare(const verify_request *q, const monitor *m, verify_inputs *in,
                                   err *e);
void verify_inputs_close(verify_inputs *in);

/* Open in->packed, unless an earlier check has done so. The errors of pack_open. */
MUST_CHECK err_code verify_inputs_packed(verify_inputs *in, err *e);

#endif
