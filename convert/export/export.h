/* The export job: a packed file becomes a directory that a runtime loads, or nothing at all
 * (spec/export.md).
 *
 *     export_job job = {0};
 *     export_prepare(&options, m, &job, e);       reads the head only and writes nothing; job.plan
 *                                                 is complete
 *     export_run(&job, m, &report, e);            write, sync, rename
 *     export_close(&job);
 *
 * The directory appears under its name only when it is complete and on the disk; after any failure
 * the name is as it was before. */
#ifndef EXPORT_H
#define EXPORT_H

#include "convert/export/export_plan.h"
#include "format/archive/embed_tar.h"
#include "format/base/monitor.h"
#include "format/pack/pack_file.h"

#define EXPORT_LIST_NAME "octavo-export.json"

typedef struct export_options {
    const char *path, *output;
    const preset *preset;
    bool dequantize;
    bool force; /* replace an earlier export */
    uint64_t shard_bytes;
    unsigned threads; /* >= 1 */
    uint64_t memory;  /* budget for buffers, bytes */
} export_options;

/* A file of the export other than its shards. */
typedef struct export_file {
    char *name;
    char *data;
    size_t bytes;
} export_file;

typedef struct export_job {
    export_options options;
    pack_file *file;
    pack_evidence evidence;
    export_plan plan;
    export_file *files; /* sorted by name */
    size_t file_count;
    size_t left_out; /* embedded files that describe another quantization */
} export_job;

typedef struct export_report {
    double seconds; /* from the first read to the rename */
} export_report;

/* After an error there is nothing to close. Errors besides those of pack_open and export_plan_make:
 * ERR_INPUT no config.json is embedded, or it cannot be used (export_config_check), or an embedded
 * file has the name of a file that the export writes. */
MUST_CHECK err_code export_prepare(const export_options *options, const monitor *m, export_job *job,
                                   err *e);

/* Errors: those of whole_dir.h and export_stream; ERR_USAGE the packed file lies in the directory
 * that would be replaced. */
MUST_CHECK err_code export_run(export_job *job, const monitor *m, export_report *report, err *e);

void export_close(export_job *job);

#endif
