/* Errors: what went wrong, as a value that the caller owns.
 *
 *     err e = {0};
 *     if (checkpoint_open(path, &cp, &e) != OK)
 *         fprintf(stderr, "octavo: %s\n", e.text);
 *
 * Every function that can fail returns an err_code and fills the err it is given (NULL is
 * accepted). The first error wins: err_set on an err that is already set changes nothing, so
 * clean-up code may fail without hiding the cause. Nothing below bin/ prints or exits. An err is
 * not shared between threads. */
#ifndef ERR_H
#define ERR_H

#include <stddef.h>

/* code, name (of --json), exit status of the process (spec/cli.md section 3), what it
 * means in one line */
#define ERR_LIST(X)                                                                                \
    X(OK, "ok", 0, "success")                                                                      \
    X(ERR_DIFFERENT, "different", 1, "a difference was found, or a plan does not fit")             \
    X(ERR_USAGE, "usage", 2, "bad command line")                                                   \
    X(ERR_IO, "io", 3, "input or output failed")                                                   \
    X(ERR_DAMAGED, "damaged", 4, "a packed file is corrupted")                                     \
    X(ERR_INPUT, "input", 5, "malformed or unsupported input")                                     \
    X(ERR_NUMERIC, "numeric", 6, "a measurement is outside its limits")                            \
    X(ERR_GPU, "gpu", 7, "the GPU is missing or failed")                                           \
    X(ERR_MEMORY, "memory", 8, "not enough memory")                                                \
    X(ERR_INTERNAL, "internal", 70, "internal error, please report it")                            \
    X(ERR_CANCELLED, "cancelled", 130, "interrupted by a signal")

typedef enum err_code {
#define X(code, name, status, text) code,
    ERR_LIST(X)
#undef X
} err_code;

typedef struct err {
    err_code code;
    char text[1024]; /* one printable line (format/base/printable.h) */
    char hint[256];  /* what the user can do about it; may be empty */
} err;

#define MUST_CHECK __attribute__((warn_unused_result))

/* Continue if the call succeeds, else return its err_code: where nothing has to be released. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const err_code try_code = (call);                                                          \
        if (try_code != OK) {                                                                      \
            return try_code;                                                                       \
        }                                                                                          \
    } while (0)

/* The same where something has to be released: keep the err_code in `code`, go to `out`, where
 * the function releases everything and returns `code`. */
#define TRY_OUT(call)                                                                              \
    do {                                                                                           \
        code = (call);                                                                             \
        if (code != OK) {                                                                          \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

/* Set `e` unless it is already set or NULL; what is not printable is escaped. Returns `code`. */
err_code err_set(err *e, err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, with ": " and the text of the errno value `number` after the message. ENOMEM makes it
 * ERR_MEMORY, whatever `code` says: lack of memory is no verdict on what was read or written. */
err_code err_set_errno(err *e, err_code code, int number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Set the hint of an error that was just set. Ignored if it already has one. */
void err_hint(err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put "context: " before the text of an error that is set; context is a path or "tensor NAME". */
void err_prefix(err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The end of reading a source: `code` is what its bytes led to, and `late` why they cannot be trusted (OK:
 * they can). Success and verdicts (1, 4, 5, 6) are then worth nothing: `late` takes their place. */
err_code err_overrule(err *e, err_code code, const err *late);

int err_exit_status(err_code code);         /* 0 … 130 */
const char *err_name(err_code code);        /* "io": the second column above */
const char *err_description(err_code code); /* the last column above */

/* Of two failures the one that decides the exit status: signals first, then 70, 2, 8, 7, 3, 4, 5,
 * 1, 6 (spec/cli.md section 3). OK only if both are. */
err_code err_worse(err_code a, err_code b);

#endif
