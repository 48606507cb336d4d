/* What `octavo verify` was asked for, and the checks that it makes of it, in this order. */
#ifndef VERIFY_REQUEST_H
#define VERIFY_REQUEST_H

#include <string.h>

#include "bin/cli/job_options.h"
#include "verify/model/rope_tables.h"

/* Bits in the order of the words of --only. */
enum { CHECK_STRUCTURE = 1, CHECK_DIGESTS = 2, CHECK_WEIGHTS = 4, CHECK_FORWARD = 8 };

/* Bits in the order of the words of --activations and --mode; both words mean both. */
enum { ACTIVATIONS_F32 = 1, ACTIVATIONS_FP8 = 2 };
enum { MODE_PREFILL = 1, MODE_DECODE = 2 };

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

/* Is the operand -, standard input? It comes once: all there is to check is its integrity. */
static inline bool verify_reads_stream(const verify_request *q)
{
    return strcmp(q->path, "-") == 0;
}

typedef struct verify_inputs verify_inputs; /* bin/verify/verify_prepare.h */

/* Each prints what it found, or puts it into the report's object. */
MUST_CHECK err_code verify_integrity(verify_request *q, const monitor *m, err *e);
MUST_CHECK err_code verify_weights(verify_request *q, const verify_inputs *in, const monitor *m,
                                   err *e);
MUST_CHECK err_code verify_forward(verify_request *q, const verify_inputs *in, const monitor *m,
                                   err *e);

#endif
