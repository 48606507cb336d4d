/* An engine that computes on the CPU, and fails or computes wrongly when a test wants it: what a
 * broken GPU looks like from the outside.
 *
 *     faulty_engine *f = faulty_open(3, b.in_bytes, b.out_bytes);
 *     f->plan = (faulty_plan){.wait = 2, .code = ERR_GPU};     the second wait fails, no other
 *     ...
 *     engine_close(&f->base);
 *
 * The plan is read by every submit and wait; change it while there are none. */
#ifndef FAULTY_ENGINE_H
#define FAULTY_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "quant/engine/engine.h"

#define FAULTY_TEXT "the device has fallen off the bus"
#define FAULTY_HINT "put it back"

typedef struct faulty_plan {
    unsigned submit, wait; /* the n-th from 1 on of all slots fails; 0: none */
    bool dead;             /* all calls behind that one fail, too */
    err_code code;

    /* Change the results of a tile, NULL: of none; called for all tiles from number spoil_from on,
     * counted from 0 over all waits. `codes` are those of the job. */
    void (*spoil)(const engine_job *job, uint64_t tile, unsigned char *codes);
    uint64_t spoil_from;

    bool idle;    /* compute nothing: results are there from before */
    bool *closed; /* NULL, or becomes true */
} faulty_plan;

typedef struct faulty_engine {
    engine base; /* its name is "faulty" */
    faulty_plan plan;
    engine *cpu;
    struct faulty_slot *states;
    atomic_uint submits, waits; /* that were called */
    atomic_bool gone;           /* failed once, and the plan says dead */
    atomic_uint_fast64_t tiles; /* that were there to spoil */
} faulty_engine;

faulty_engine *faulty_open(unsigned slots, size_t in_bytes, size_t out_bytes);

#endif
