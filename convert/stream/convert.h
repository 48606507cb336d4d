/* The conversion job: a checkpoint becomes one packed file, or nothing at all.
 *
 *     convert_job job = {0};
 *     convert_prepare(&options, m, &job, e);        headers only; nothing is written
 *     ... job.plan is complete; open an engine with job.slots ...
 *     convert_run(&job, engine, m, &report, e);     write, sync, check, rename
 *     convert_close(&job);
 *
 * The output appears under its name only when it is complete and on the disk; after any failure the
 * name is as it was before. */
#ifndef CONVERT_H
#define CONVERT_H

#include "convert/plan/plan.h"
#include "format/base/monitor.h"
#include "format/pack/pack_written.h"
#include "quant/engine/engine.h"

typedef struct convert_options {
    const char *source; /* checkpoint path */
    const char *output; /* packed file to write, or the name of the stream in messages */
    bool stream;        /* write to `stream_fd` instead, from start to end: nothing is renamed */
    int stream_fd;
    const recipe *recipe;
    const char *recipe_path;       /* file that the recipe was read from, or NULL: an input */
    const embed_glob *embed_globs; /* in command-line order */
    size_t embed_glob_count;
    digest_alg digest;
    bool source_sha256; /* also record the SHA-256 of whole shards */
    bool allow_none;    /* a conversion that quantizes nothing is not an error */
    bool force;         /* replace an existing output */
    pack_check *check;  /* of the written file before it is renamed into place; NULL: none */
    unsigned threads;   /* >= 1 */
    uint64_t memory;    /* budget for buffers, bytes */
} convert_options;

/* The slots that the plan needs and the budget allows. */
typedef struct convert_slots {
    unsigned count;
    size_t in_bytes, out_bytes; /* of each slot */
    size_t max_tiles;           /* of one submit */
    uint64_t total_bytes;       /* all buffers of the job */
} convert_slots;

typedef struct convert_job {
    convert_options options;
    checkpoint *cp;
    embed_list embed;
    plan plan;
    convert_slots slots;
    unsigned char *stats; /* after convert_run: the rows of STAT; plan.table says which is whose */
} convert_job;

typedef struct convert_report {
    double seconds;                     /* first read to last write + fsync */
    bool read_back;                     /* and checked; false: a stream, or not asked for */
    pack_read_from read_from;           /* where its bytes came from then */
    double read_back_seconds;           /* 0: not read back */
    uint64_t nonfinite_kept;            /* infinities and NaNs in kept tensors */
    double sum_sq_source, sum_sq_error; /* of all quantized tensors */
    uint64_t saturated, flushed;
    unsigned char root[SHA256_BYTES];
} convert_report;

/* Open the source and make the plan. After an error there is nothing to close. Errors besides those
 * of checkpoint_open and plan_make: ERR_MEMORY the budget is less than one row of tiles needs (the
 * message says how much). */
MUST_CHECK err_code convert_prepare(const convert_options *options, const monitor *m,
                                    convert_job *job, err *e);

/* `g` has slots of the sizes in job->slots; it may have fewer than job->slots.count, and then fewer
 * threads read and write. Errors: ERR_IO, also for an existing output without force; ERR_USAGE the
 * output is one of the inputs; ERR_INPUT a NaN or an infinity in a tensor to quantize;
 * ERR_CANCELLED; those of the engine and of the check. */
MUST_CHECK err_code convert_run(convert_job *job, engine *g, const monitor *m,
                                convert_report *report, err *e);

void convert_close(convert_job *job);

#endif
