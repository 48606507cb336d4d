/* octavo devices: the CPU and the CUDA devices of this machine. */
#include <stdio.h>

#include "bin/cmd.h"
#include "bin/compute/compute.h"
#include "bin/cli/cpu_model.h"
#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "format/base/cpu_level.h"
#include "format/thread/parallel.h"

typedef struct machine {
    char model[256]; /* of the CPU; empty: unknown */
    const char *level;
    unsigned threads;
    device_list gpus;
    err missing; /* why there are no GPUs */
} machine;

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    (void)ctx;
    (void)value;
    return option_unhandled(o, e);
}

static err_code inspect_machine(machine *m, err *e)
{
    cpu_level level = CPU_BASELINE;
    TRY(cpu_level_choose(&level, e));
    cpu_model(m->model, sizeof m->model);
    m->level = cpu_level_name(level);
    m->threads = parallel_processors();
    if (device_find_all(&m->gpus, &m->missing) != OK) {
        m->gpus.count = 0; /* that is not an error; m->missing is the reason */
    }
    return OK;
}

/* ---- text ------------------------------------------------------ */

static err_code print_gpus(const machine *m, err *e)
{
    static const char *const names[] = {"device", "name",        "capability", "memory",
                                        "SMs",    "PCI address", "usable"};
    table t;
    table_start(&t, "lllrrll");
    table_header(&t, names, sizeof names / sizeof names[0]);
    for (unsigned i = 0; i < m->gpus.count; i++) {
        const device_info *const d = &m->gpus.devices[i];
        shown memory;
        char why[64];
        table_cell(&t, "cuda:%u", d->index);
        table_cell(&t, "%s", d->name);
        table_cell(&t, "%u.%u", d->major, d->minor);
        table_cell(&t, "%s", text_memory(memory.s, d->memory_bytes));
        table_cell(&t, "%u", d->multiprocessors);
        table_cell(&t, "%s", d->bus);
        table_cell(&t, "%s%s", d->usable ? "yes" : "no: ", compute_why_not(d, why, sizeof why));
    }
    return table_finish(&t, e);
}

static err_code print(machine *m, err *e)
{
    const char *const runtime = device_runtime();
    /* On AArch64, Linux does not report a model name. */
    printf("CPU    %s, level %s, %u thread%s\n", m->model[0] ? m->model : cpu_machine(), m->level,
           m->threads, text_s(m->threads));
    if (m->gpus.count == 0) {
        printf("CUDA   %s%sno device: %s\n", runtime ? runtime : "", runtime ? ", " : "",
               m->missing.code != OK ? m->missing.text : "there is none");
        return OK;
    }
    printf("CUDA   %s\n\n", runtime ? runtime : "not built in");
    return print_gpus(m, e);
}

/* ---- JSON ------------------------------------------------------ */

static json_t *gpu_json(report *r, const device_info *d)
{
    char capability[32], why[64];
    json_t *const o = json_object();
    snprintf(capability, sizeof capability, "%u.%u", d->major, d->minor);
    compute_why_not(d, why, sizeof why);
    report_put(r, o, "index", report_number(d->index));
    report_put(r, o, "name", report_text(d->name));
    report_put(r, o, "compute_capability", report_text(capability));
    report_put(r, o, "memory_bytes", report_number(d->memory_bytes));
    report_put(r, o, "multiprocessors", report_number(d->multiprocessors));
    report_put(r, o, "pci_address", report_text(d->bus));
    report_put(r, o, "usable", json_boolean(d->usable));
    report_put(r, o, "unusable_reason", report_text(d->usable ? NULL : why));
    return o;
}

static void put(report *r, const machine *m)
{
    json_t *const cpu = json_object();
    json_t *const cuda = json_object();
    json_t *const devices = json_array();
    for (unsigned i = 0; i < m->gpus.count; i++) {
        report_append(r, devices, gpu_json(r, &m->gpus.devices[i]));
    }
    report_put(r, cpu, "model", report_text(m->model[0] ? m->model : NULL));
    report_put(r, cpu, "instruction_level", report_text(m->level));
    report_put(r, cpu, "threads", report_number(m->threads));
    report_put(r, cuda, "runtime", report_text(device_runtime()));
    report_put(r, cuda, "error", report_text(m->missing.code != OK ? m->missing.text : NULL));
    report_put(r, cuda, "devices", devices);
    report_put(r, r->root, "kind", report_text("devices"));
    report_put(r, r->root, "cpu", cpu);
    report_put(r, r->root, "cuda", cuda);
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    command_line line;
    machine m = {0};
    TRY(options_parse(COMMAND_DEVICES, argc, argv, on_option, NULL, &line, e));
    if (line.action != ACTION_RUN) {
        return cmd_answer(line.action, COMMAND_DEVICES, r, e);
    }
    TRY(inspect_machine(&m, e));
    if (r->json) {
        put(r, &m);
        return OK;
    }
    return print(&m, e);
}

const command cmd_devices = {.run = run, .on_option = on_option};
