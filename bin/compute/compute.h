/* On what a command computes: from the words of --device to an open engine.
 *
 *     compute_request q = COMPUTE_DEFAULT;
 *     compute_take(&q, o, value, e)                  for each of its options
 *     compute c = {0};
 *     compute_find(&q, m, &c, e)                     which devices; takes nothing of them yet
 *     compute_open(&c, &q, &want, m, e)              c.engine
 *     ...
 *     compute_close(&c, m)                           in every case; what c tells stays
 *
 * A GPU that was named has to work. One that was not, as with `cuda` and `auto`, is left out if it
 * cannot be used while another can; with `auto` the CPU takes the place of the last, and of one
 * that fails on the way. Notes say so. What a GPU computes is checked by samples
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
    unsigned count;               /* of them; 0: all devices that are usable */
    uint64_t gpu_memory;          /* the most to take of each device; 0: as much as is usual */
    double check_share;           /* of a GPU's tiles that the CPU computes, too; 0: none */
    bool explain;                 /* with `auto`: take a note of why no GPU computes */
} compute_request;

#define COMPUTE_DEFAULT    ((compute_request){.check_share = 0.002})
#define COMPUTE_GPU_MEMORY GIB /* is usual */

typedef struct compute {
    device_list devices;   /* that compute, in the order of the request; none: the CPU */
    engine *engine;        /* NULL: not open */
    uint64_t device_bytes; /* of their memory, all together */
    /* What compute_close found: */
    uint64_t checked_tiles;
    char failure[sizeof((err *)NULL)->text]; /* why the CPU did a GPU's work; empty: it did not */
} compute;

/* Take --device, --gpu-memory or --check-device. Errors: ERR_USAGE. */
MUST_CHECK err_code compute_take(compute_request *q, const option_spec *o, const char *value,
                                 err *e);

/* The word alone: auto, cpu, cuda, cuda:I,J,… Errors: ERR_USAGE, with a hint. */
MUST_CHECK err_code compute_parse(const char *word, compute_request *q, err *e);

/* Choose the devices; that there are none is no more than a note where `auto` was asked for. Errors: ERR_GPU: there are none, or not those that were asked for. */
MUST_CHECK err_code compute_find(const compute_request *q, const monitor *m, compute *out, err *e);

/* Choose among devices that were found: all that are usable, or those of the request. For
 * compute_find, and for tests. */
MUST_CHECK err_code compute_choose(const compute_request *q, const device_list *found,
                                   device_list *out, err *e);

/* Why a device is not usable: "no code for compute capability 7.5"; empty: it is. */
const char *compute_why_not(const device_info *d, char *to, size_t room);

/* Do without the device at that place (past the last: without all), since `why` says that it cannot
 * be used; it takes a note. Errors: `why`, if the request needs that device, or if it is about
 * neither GPU nor memory. For compute_open, and for what else tries devices. */
MUST_CHECK err_code compute_leave_out(compute *c, const compute_request *q, unsigned place,
                                      const err *why, const monitor *m, err *e);

/* c->devices are then those that compute, no more than there are slots. Errors: what the engines
 * say, ERR_GPU among it if `auto` was not asked for. */
MUST_CHECK err_code compute_open(compute *c, const compute_request *q, const convert_slots *slots,
                                 unsigned threads, const monitor *m, err *e);

/* Close the engine; a note tells of a GPU that failed. NULL engine: does nothing. */
void compute_close(compute *c, const monitor *m);

/* "cpu", "cuda:0,1": as --device takes it. */
const char *compute_word(const compute *c, char *to, size_t room);

/* "NVIDIA H100 80GB HBM3", "2 x NVIDIA …", "the CPU". */
const char *compute_name(const compute *c, char *to, size_t room);

/* Put "device", "device_names", "gpu_memory_bytes", "gpu_failure", "tiles_checked". */
void compute_put(report *r, json_t *to, const compute *c);

#endif
