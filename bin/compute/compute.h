/* Selects the devices that a command computes on: from the value of --device to an open engine.
 *
 *     compute_request q = COMPUTE_DEFAULT;
 *     compute_on_option(&q, o, value, e)             for --device and related options
 *     compute c = {0};
 *     compute_find(&q, m, &c, e)                     which devices; allocates nothing on them
 *     compute_open(&c, &q, &want, m, e)              c.engine
 *     ...
 *     compute_close(&c, m)                           always; the other fields of c stay valid
 *
 * A GPU that is named must work. With `cuda` and `auto`, which name none, a GPU that cannot be used
 * is left out if there is another; with `auto`, the CPU replaces the last one, and also a GPU that
 * fails during the run. Notes report each case. Samples of a GPU's results are checked
 * (quant/engine/engine_guard.h). */
#ifndef COMPUTE_H
#define COMPUTE_H

#include "bin/cli/option_words.h"
#include "bin/cli/report.h"
#include "convert/stream/convert.h"
#include "format/base/num.h"
#include "gpu/device/device.h"

typedef enum compute_kind {
#define X(name, word) COMPUTE_##name,
    COMPUTE_LIST(X)
#undef X
} compute_kind;

/* What the command line asks for. */
typedef struct compute_request {
    compute_kind kind;
    unsigned numbers[DEVICE_MAX]; /* cuda:I,J,… */
    unsigned count;               /* number of `numbers`; 0: all usable devices */
    uint64_t gpu_memory;          /* limit for each device; 0: the default */
    double check_share;           /* fraction of a GPU's tiles that the CPU recomputes; 0: none */
    bool explain;                 /* with `auto`: note why no GPU is used */
} compute_request;

#define COMPUTE_DEFAULT    ((compute_request){.check_share = 0.002})
#define COMPUTE_GPU_MEMORY GIB /* default for each device */

typedef struct compute {
    device_list devices;   /* that compute, in the order of the request; empty: the CPU */
    engine *engine;        /* NULL: not open */
    uint64_t device_bytes; /* memory allocated on all devices together */
    /* Set by compute_close: */
    uint64_t checked_tiles;
    char failure[sizeof((err *)NULL)->text]; /* why the CPU took over a GPU's work, or empty */
} compute;

/* Store --device, --gpu-memory or --check-device in `q`. Errors: ERR_USAGE. */
MUST_CHECK err_code compute_on_option(compute_request *q, const option_spec *o, const char *value,
                                      err *e);

/* Parse the value of --device: auto, cpu, cuda, cuda:I,J,… Errors: ERR_USAGE, with a hint. */
MUST_CHECK err_code compute_parse(const char *word, compute_request *q, err *e);

/* Choose the devices. With `auto`, having none is not an error (a note, if q->explain). Errors:
 * ERR_GPU if there are no devices, or not the requested ones. */
MUST_CHECK err_code compute_find(const compute_request *q, const monitor *m, compute *out, err *e);

/* Choose from the devices `found`: all usable ones, or those of the request. Errors as above. Used
 * by compute_find and by tests. */
MUST_CHECK err_code compute_choose(const compute_request *q, const device_list *found,
                                   device_list *out, err *e);

/* Why a device is not usable: "no code for compute capability 7.5"; empty if it is usable. */
const char *compute_why_not(const device_info *d, char *to, size_t room);

/* Drop the device at index `at` (beyond the last: all devices), which cannot be used because of
 * `why`, and print a note. Errors: `why` itself, if the request needs that device, or if it
 * concerns neither GPU nor memory. For compute_open and other callers that try devices. */
MUST_CHECK err_code compute_drop_device(compute *c, const compute_request *q, unsigned at,
                                        const err *why, const monitor *m, err *e);

/* Open c->engine. c->devices are then the devices that compute, at most one per slot. Errors: those
 * of the engines; ERR_GPU only without `auto`. */
MUST_CHECK err_code compute_open(compute *c, const compute_request *q, const convert_slots *slots,
                                 unsigned threads, const monitor *m, err *e);

/* Close the engine; a note reports a GPU that failed. Does nothing if c->engine is NULL. */
void compute_close(compute *c, const monitor *m);

/* "cpu", "cuda:0,1": in the form that --device accepts. */
const char *compute_word(const compute *c, char *to, size_t room);

/* "NVIDIA H100 80GB HBM3", "2 x NVIDIA …", "the CPU". */
const char *compute_name(const compute *c, char *to, size_t room);

/* Put "device", "device_names", "gpu_memory_bytes", "gpu_failure", "tiles_checked". */
void compute_put(report *r, json_t *to, const compute *c);

#endif
