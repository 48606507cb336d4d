/* What `octavo verify` was asked for, and the checks that it makes of it, in this order. */
#ifndef VERIFY_REQUEST_H
#define VERIFY_REQUEST_H

#include "bin/cli/job_options.h"
#include "bin/cli/option_words.h"
#include "verify/model/rope_tables.h"

/* Numbers of the words of --only, and the bits of a set of checks. */
enum {
#define X(name, word) CHECK_NUMBER_##name,
    CHECK_LIST(X)
#undef X
#define X(name, word) CHECK_##name = 1 << CHECK_NUMBER_##name,
        CHECK_LIST(X)
#undef X
};

/* The words of --activations and --mode count from 1, and so their numbers are sets of two bits. */
enum {
    ACTIVATIONS_NONE,
#define X(name, word) ACTIVATIONS_##name,
    ACTIVATION_LIST(X)
#undef X
};

enum {
    MODE_NONE,
#define X(name, word) MODE_##name,
    MODE_LIST(X)
#undef X
};

_Static_assert(ACTIVATIONS_BOTH == (ACTIVATIONS_F32 | ACTIVATIONS_FP8) &&
                   MODE_BOTH == (MODE_PREFILL | MODE_DECODE),
               "both words mean both");

typedef struct forward_request {
    bool wanted;              /* --forward */
    const char *first_option; /* of those that make sense with it only; NULL: none was given */
    const char *text, *tokens, *reference, *limits, *dump;
    unsigned length, sequences; /* 0: not given; UINT_MAX sequences: all */
    unsigned activations, modes;
    slope_form slopes[2];
    bool force;
} forward_request;

typedef struct verify_request {
    const char *path, *against;
    const char *tensor; /* NULL: all */
    bool quick;
    unsigned only;   /* 0: not given */
    unsigned checks; /* what is to be done */
    job_options job;
    forward_request forward;
    report *report;
} verify_request;

typedef struct verify_inputs verify_inputs; /* bin/verify/verify_prepare.h */

/* Each prints what it found, or puts it into the report's object. */
MUST_CHECK err_code verify_integrity(verify_request *q, const monitor *m, err *e);
MUST_CHECK err_code verify_weights(verify_request *q, const verify_inputs *in, const monitor *m,
                                   err *e);
MUST_CHECK err_code verify_forward(verify_request *q, const verify_inputs *in, const monitor *m,
                                   err *e);

#endif
