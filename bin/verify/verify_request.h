/* The request of `octavo verify`, and its checks, in the order in which they run.
 *
 *     verify_integrity(&q, &inputs, m, e)   structure and digests
 *     verify_weights(&q, &inputs, m, e)     weights against their source
 *     verify_forward(&q, &inputs, m, e)     the model, run on some text
 */
#ifndef VERIFY_REQUEST_H
#define VERIFY_REQUEST_H

#include "bin/cli/job_options.h"
#include "bin/cli/option_words.h"
#include "verify/model/rope_tables.h"

/* The words of --only: their numbers, and the bits of a set of checks. */
enum {
#define X(name, word) CHECK_NUMBER_##name,
    CHECK_LIST(X)
#undef X
#define X(name, word) CHECK_##name = 1 << CHECK_NUMBER_##name,
        CHECK_LIST(X)
#undef X
};

/* The words of --activations and --mode are numbered from 1, so that the numbers are sets of two
 * bits: the third word means both of the others. */
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
    const char *first_option; /* the first one given that requires --forward; NULL: none */
    const char *text;         /* the last --text; NULL: none */
    const char *const *texts;
    size_t text_count;
    const char *text_field; /* NULL: the usual one */
    const char *tokens, *reference, *limits, *dump;
    unsigned length, sequences; /* 0: not given; sequences UINT_MAX: all */
    unsigned activations, modes;
    slope_form slopes[2];
    bool force, no_ideal;
    const char *versus; /* another packed file to run; NULL: none */
} forward_request;

typedef struct verify_request {
    const char *path, *against;
    const char *tensor; /* NULL: all */
    bool quick;
    unsigned only;   /* 0: not given */
    unsigned checks; /* the checks to run */
    job_options job;
    forward_request forward;
    report *report;
} verify_request;

typedef struct verify_inputs verify_inputs; /* bin/verify/verify_prepare.h */

/* Each check prints its findings, or puts them into the object of --json. Errors: ERR_DAMAGED,
 * ERR_INPUT, ERR_DIFFERENT or ERR_NUMERIC as found (spec/cli.md section 3), or the check failed. */
MUST_CHECK err_code verify_integrity(verify_request *q, verify_inputs *in, const monitor *m,
                                     err *e);
MUST_CHECK err_code verify_weights(verify_request *q, verify_inputs *in, const monitor *m, err *e);
MUST_CHECK err_code verify_forward(verify_request *q, const verify_inputs *in, const monitor *m,
                                   err *e);

#endif
