#include "bin/compute/compute.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bin/cli/value.h"
#include "format/base/num.h"
#include "format/base/printable.h"
#include "gpu/quantize/engine_cuda.h"
#include "quant/engine/engine_cpu.h"
#include "quant/engine/engine_guard.h"

/* ---- words ----------------------------------------------------- */

static err_code refuse_word(const char *word, err *e)
{
    err_set(e, ERR_USAGE, "--device: expected auto, cpu, cuda or cuda:N,N,..., found '%s'", word);
    err_hint(e, "cuda:0,1 selects the first two CUDA devices; octavo devices lists all");
    return ERR_USAGE;
}

static err_code add_number(compute_request *q, unsigned number, err *e)
{
    for (unsigned i = 0; i < q->count; i++) {
        if (q->numbers[i] == number) {
            err_set(e, ERR_USAGE, "--device: device %u is listed twice", number);
            err_hint(e, "listing it once is enough to use all of it");
            return ERR_USAGE;
        }
    }
    q->numbers[q->count++] = number; /* cannot overflow: all are different and below DEVICE_MAX */
    return OK;
}

/* `list` is the part after "cuda:", such as "0,2". */
static err_code parse_numbers(const char *word, const char *list, compute_request *q, err *e)
{
    for (;;) {
        const size_t length = strcspn(list, ",");
        char digits[8];
        unsigned number = 0;
        snprintf(digits, sizeof digits, "%.*s", (int)num_min(length, sizeof digits), list);
        if (length >= sizeof digits ||
            value_count("--device", digits, 0, DEVICE_MAX - 1, &number, NULL) != OK) {
            return refuse_word(word, e);
        }
        TRY(add_number(q, number, e));
        if (list[length] == '\0') {
            return OK;
        }
        list += length + 1;
    }
}

err_code compute_parse(const char *word, compute_request *q, err *e)
{
    static const char with_numbers[] = "cuda:";
    unsigned kind = 0;
    q->count = 0;
    if (strncmp(word, with_numbers, sizeof with_numbers - 1) == 0) {
        q->kind = COMPUTE_CUDA;
        return parse_numbers(word, word + sizeof with_numbers - 1, q, e);
    }
    if (value_word("--device", word, WORDS(COMPUTE_LIST), &kind, NULL) != OK) {
        return refuse_word(word, e);
    }
    q->kind = (compute_kind)kind;
    return OK;
}

err_code compute_on_option(compute_request *q, const option_spec *o, const char *value, err *e)
{
    switch (o->id) {
    case OPTION_GPU_MEMORY:
        return value_size("--gpu-memory", value, &q->gpu_memory, e);
    case OPTION_CHECK_DEVICE:
        return value_share("--check-device", value, &q->check_share, e);
    case OPTION_DEVICE:
        return compute_parse(value, q, e);
    default:
        return option_unhandled(o, e);
    }
}

/* ---- devices --------------------------------------------------- */

/* "device 1, Tesla T4" */
static void describe(const device_info *d, char *to, size_t room)
{
    snprintf(to, room, "device %u, %s", d->index, d->name);
}

const char *compute_why_not(const device_info *d, char *to, size_t room)
{
    snprintf(to, room, "no code for compute capability %u.%u", d->major, d->minor);
    if (d->usable && room > 0) {
        to[0] = '\0';
    }
    return to;
}

static err_code refuse_device(const device_info *d, err *e)
{
    char what[300], why[64];
    describe(d, what, sizeof what);
    err_set(e, ERR_GPU, "CUDA %s: not supported by this build: %s", what,
            compute_why_not(d, why, sizeof why));
    err_hint(e, "--device cpu gives the same bytes");
    return ERR_GPU;
}

static err_code refuse_number(unsigned number, const device_list *found, err *e)
{
    char what[300];
    if (found->count == 0) {
        return err_set(e, ERR_GPU, "no CUDA device %u: there are no CUDA devices", number);
    }
    describe(&found->devices[found->count - 1], what, sizeof what);
    err_set(e, ERR_GPU, "no CUDA device %u: there %s %u, the last is %s", number,
            found->count == 1 ? "is" : "are", found->count, what);
    err_hint(e, "octavo devices lists them");
    return ERR_GPU;
}

static err_code choose_number(unsigned number, const device_list *found, device_list *out, err *e)
{
    for (unsigned i = 0; i < found->count; i++) {
        const device_info *const d = &found->devices[i];
        if (d->index == number) {
            out->devices[out->count++] = *d;
            return d->usable ? OK : refuse_device(d, e);
        }
    }
    return refuse_number(number, found, e);
}

static err_code choose_usable(const device_list *found, device_list *out, err *e)
{
    for (unsigned i = 0; i < found->count; i++) {
        if (found->devices[i].usable) {
            out->devices[out->count++] = found->devices[i];
        }
    }
    if (out->count > 0) {
        return OK;
    }
    return found->count > 0 ? refuse_device(&found->devices[0], e)
                            : err_set(e, ERR_GPU, "there is no CUDA device");
}

err_code compute_choose(const compute_request *q, const device_list *found, device_list *out,
                        err *e)
{
    out->count = 0;
    for (unsigned i = 0; i < q->count; i++) {
        TRY(choose_number(q->numbers[i], found, out, e));
    }
    return q->count == 0 ? choose_usable(found, out, e) : OK;
}

static err_code find_and_choose(const compute_request *q, device_list *out, err *e)
{
    device_list found;
    TRY(device_find_all(&found, e));
    return compute_choose(q, &found, out, e);
}

err_code compute_find(const compute_request *q, const monitor *m, compute *out, err *e)
{
    err why = {0};
    *out = (compute){0};
    if (q->kind == COMPUTE_CPU) {
        return OK;
    }
    const bool required = q->kind == COMPUTE_CUDA;
    const err_code code = find_and_choose(q, &out->devices, required ? e : &why);
    if (code != OK && required) {
        err_hint(e, "--device cpu gives the same bytes");
    }
    if (code == OK || required) {
        return code;
    }
    out->devices.count = 0;
    if (q->explain) {
        monitor_note(m, "no GPU (%s): computing on the CPU", why.text);
    }
    return OK;
}

/* ---- the engine ------------------------------------------------ */

/* Wrap `inner` and take ownership of it: samples of its results are checked and, with `auto`, the
 * CPU continues if it fails. */
static err_code guard(compute *c, const compute_request *q, engine *inner, err *e)
{
    const engine_guard_options options = {.check_share = q->check_share,
                                          .take_over = q->kind == COMPUTE_AUTO};
    const err_code code = engine_guard_open(inner, &options, &c->engine, e);
    if (code != OK) {
        engine_close(inner);
        return code;
    }
    c->device_bytes = c->engine->device_bytes;
    return OK;
}

/* Open the engine on the first devices, as many as there are slots. *failed: the index of the
 * device that the error is about, or DEVICE_MAX. */
static err_code open_cuda(compute *c, const compute_request *q, const convert_slots *slots,
                          unsigned *failed, err *e)
{
    unsigned numbers[DEVICE_MAX];
    const unsigned count = (unsigned)num_min(c->devices.count, slots->count);
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = c->devices.devices[i].index;
    }
    const engine_cuda_options options = {
        .devices = numbers,
        .device_count = count,
        .slots = slots->count,
        .in_bytes = slots->in_bytes,
        .out_bytes = slots->out_bytes,
        .max_tiles = slots->max_tiles,
        .gpu_memory = q->gpu_memory > 0 ? q->gpu_memory : COMPUTE_GPU_MEMORY,
    };
    engine *inner = NULL;
    err_code code = engine_cuda_open(&options, &inner, failed, e);
    *failed = *failed < count ? *failed : DEVICE_MAX;
    if (code != OK) {
        return code;
    }
    TRY(guard(c, q, inner, e));
    c->devices.count = count;
    return OK;
}

err_code compute_drop_device(compute *c, const compute_request *q, unsigned at, const err *why,
                             const monitor *m, err *e)
{
    device_list *const l = &c->devices;
    const bool none_left = at >= l->count || l->count == 1;
    if ((why->code != ERR_GPU && why->code != ERR_MEMORY) || q->count > 0 ||
        (none_left && q->kind == COMPUTE_CUDA)) {
        if (e && e->code == OK) {
            *e = *why;
        }
        return why->code;
    }
    if (none_left) {
        l->count = 0;
        monitor_note(m, "the GPU cannot be used (%s): computing on the CPU", why->text);
        return OK;
    }
    monitor_note(m, "a GPU cannot be used (%s): computing without it", why->text);
    l->count--;
    memmove(&l->devices[at], &l->devices[at + 1], (l->count - at) * sizeof l->devices[0]);
    return OK;
}

err_code compute_open(compute *c, const compute_request *q, const convert_slots *slots,
                      unsigned threads, const monitor *m, err *e)
{
    while (c->devices.count > 0) {
        err why = {0};
        unsigned failed = 0;
        if (open_cuda(c, q, slots, &failed, &why) == OK) {
            return OK;
        }
        TRY(compute_drop_device(c, q, failed, &why, m, e));
    }
    return engine_cpu_open(threads, slots->count, slots->in_bytes, slots->out_bytes, &c->engine, e);
}

void compute_close(compute *c, const monitor *m)
{
    if (c->engine && c->devices.count > 0) {
        const char *const failure = engine_guard_failure(c->engine);
        c->checked_tiles = engine_guard_checked(c->engine);
        if (failure) {
            snprintf(c->failure, sizeof c->failure, "%s", failure);
            monitor_note(m, "a GPU failed (%s): the CPU finished its work", failure);
        }
    }
    engine_close(c->engine);
    c->engine = NULL;
}

/* ---- names ----------------------------------------------------- */

const char *compute_word(const compute *c, char *to, size_t room)
{
    size_t used = (size_t)snprintf(to, room, "%s", c->devices.count > 0 ? "cuda" : "cpu");
    for (unsigned i = 0; i < c->devices.count && used < room; i++) {
        used += (size_t)snprintf(to + used, room - used, "%c%u", i == 0 ? ':' : ',',
                                 c->devices.devices[i].index);
    }
    return to;
}

const char *compute_name(const compute *c, char *to, size_t room)
{
    const device_list *const l = &c->devices;
    char name[sizeof l->devices[0].name];
    bool same_model = true;
    printable(name, sizeof name, l->count > 0 ? l->devices[0].name : "");
    for (unsigned i = 1; i < l->count; i++) {
        same_model = same_model && strcmp(l->devices[i].name, l->devices[0].name) == 0;
    }
    if (l->count == 0) {
        snprintf(to, room, "%s", "the CPU");
    } else if (l->count == 1) {
        snprintf(to, room, "%s", name);
    } else if (same_model) {
        snprintf(to, room, "%u x %s", l->count, name);
    } else {
        snprintf(to, room, "%s and %u more", name, l->count - 1);
    }
    return to;
}

void compute_put(report *r, json_t *to, const compute *c)
{
    char word[256];
    json_t *const names = json_array();
    for (unsigned i = 0; i < c->devices.count; i++) {
        report_append(r, names, report_text(c->devices.devices[i].name));
    }
    report_put(r, to, "device", report_text(compute_word(c, word, sizeof word)));
    report_put(r, to, "device_names", names);
    report_put(r, to, "gpu_memory_bytes", report_number(c->device_bytes));
    report_put(r, to, "gpu_failure", report_text(c->failure[0] ? c->failure : NULL));
    report_put(r, to, "tiles_checked", report_number(c->checked_tiles));
}
