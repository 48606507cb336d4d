#include "convert/export/export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "convert/export/export_config.h"
#include "convert/export/export_scales.h"
#include "convert/export/export_stream.h"
#include "format/output/input_guard.h"
#include "format/file/io.h"
#include "format/output/output.h"
#include "format/output/whole_dir.h"
#include "format/checkpoint/shard_index.h"

static const char config_name[] = "config.json";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- prepare --------------------------------------------------- */

static err_code no_memory(err *e)
{
    return err_set(e, ERR_MEMORY, "no memory for the files of an export");
}

/* Embedded files are copied unchanged, except config.json. */
static err_code copy_file(const export_job *job, const member *m, export_file *out, err *e)
{
    out->name = strdup(m->name);
    if (strcmp(m->name, config_name) == 0) {
        out->data =
            export_config_text(m->data, m->bytes, job->options.preset, &job->plan, &out->bytes);
    } else {
        out->data = malloc(m->bytes + 1);
        out->bytes = m->bytes;
        if (out->data) {
            memcpy(out->data, m->data, m->bytes);
        }
    }
    return out->name && out->data ? OK : no_memory(e);
}

static int compare_file(const void *a, const void *b)
{
    return strcmp(((const export_file *)a)->name, ((const export_file *)b)->name);
}

/* Shards are numbered, so one of them at most can have this name. */
static bool is_shard(const export_job *job, const char *name, size_t bytes)
{
    static const char before[] = "model-";
    char shard[SHARD_NAME_BYTES];
    if (strncmp(name, before, sizeof before - 1) != 0) {
        return false;
    }
    const unsigned long number = strtoul(name + sizeof before - 1, NULL, 10);
    if (number == 0 || number > job->plan.shard_count) {
        return false;
    }
    export_shard_name(&job->plan, (uint32_t)number - 1, shard);
    return strlen(shard) == bytes && memcmp(name, shard, bytes) == 0;
}

/* No embedded file, and no directory of one, may have the name of a file that the export writes, or
 * that of a temporary file. convert embeds none of these names by default, but --embed and other
 * writers of packed files may. */
static err_code check_name(const export_job *job, const char *name, err *e)
{
    static const char *const written[] = {SHARD_INDEX_NAME, EXPORT_LIST_NAME};
    const size_t bytes = strcspn(name, "/");
    const bool temporary =
        name[0] == '.' && bytes >= 5 && memcmp(name + bytes - 5, ".part", 5) == 0;
    bool taken = temporary || is_shard(job, name, bytes);
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        taken = taken || (strlen(written[i]) == bytes && memcmp(name, written[i], bytes) == 0);
    }
    return taken ? err_set(e, ERR_INPUT,
                           "%s: embedded file %s: the export writes a file of that name",
                           job->options.path, name)
                 : OK;
}

/* Descriptions of quantization by other tools are embedded as evidence. In an exported directory
 * they would be a second description, next to that of config.json, and runtimes read them. */
static err_code is_left_out(const member *m, bool *out, err *e)
{
    *out = false;
    for (const char *const *name = quantization_files; *name; name++) {
        quantization q = {0};
        if (strcmp(m->name, *name) == 0 && strcmp(m->name, config_name) != 0) {
            TRY(quantization_read(&q, *name, m->data, m->bytes, e));
            *out = q.count > 0;
        }
    }
    return OK;
}

static err_code make_files(export_job *job, const member *members, size_t count, err *e)
{
    job->files = calloc(count + 1, sizeof *job->files);
    if (!job->files) {
        return no_memory(e);
    }
    for (size_t i = 0; i < count; i++) {
        bool left_out = false;
        TRY(is_left_out(&members[i], &left_out, e));
        if (left_out) {
            job->left_out++;
            continue;
        }
        TRY(check_name(job, members[i].name, e));
        TRY(copy_file(job, &members[i], &job->files[job->file_count++], e));
    }
    export_file *const index = &job->files[job->file_count++];
    index->name = strdup(SHARD_INDEX_NAME);
    index->data = export_index_text(&job->plan, &index->bytes);
    if (!index->name || !index->data) {
        return no_memory(e);
    }
    qsort(job->files, job->file_count, sizeof *job->files, compare_file);
    return OK;
}

static err_code check_config(const export_job *job, const member *members, size_t count,
                             export_how *how, err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, config_name) == 0) {
            const err_code code = export_config_check(members[i].data, members[i].bytes, how, e);
            err_prefix(code == OK ? NULL : e, "%s", job->options.path);
            return code;
        }
    }
    err_set(e, ERR_INPUT, "%s: no config.json is embedded, and no runtime loads a model without it",
            job->options.path);
    err_hint(e, "convert embeds the one in the directory of the checkpoint");
    return ERR_INPUT;
}

static err_code make_plan(export_job *job, const export_how *how, err *e)
{
    const err_code code = export_plan_make(&job->file->table, how, &job->plan, e);
    err_prefix(code == OK ? NULL : e, "%s", job->options.path);
    return code;
}

static err_code read_head(export_job *job, member **members, size_t *count, err *e)
{
    err_code code = OK;
    TRY_OUT(pack_open(job->options.path, &job->file, e));
    TRY_OUT(pack_read_evidence(job->file, &job->evidence, e));
    TRY_OUT(pack_read_members(job->file, members, count, e));
out:
    if (code == ERR_DAMAGED) {
        err_hint(e, "octavo verify lists every corrupted place");
    }
    return code;
}

err_code export_prepare(const export_options *options, const monitor *m, export_job *job, err *e)
{
    *job = (export_job){.options = *options};
    member *members = NULL;
    size_t count = 0;
    export_how how = {
        .preset = options->preset,
        .dequantize = options->dequantize,
        .shard_bytes = options->shard_bytes,
        .monitor = m,
    };
    err_code code = OK;
    TRY_OUT(read_head(job, &members, &count, e));
    TRY_OUT(check_config(job, members, count, &how, e));
    TRY_OUT(make_plan(job, &how, e));
    TRY_OUT(export_scales_check(job->file, &job->evidence, &job->plan, m, e));
    TRY_OUT(make_files(job, members, count, e));
out:
    members_free(members, count);
    if (code != OK) {
        export_close(job);
    }
    return code;
}

void export_close(export_job *job)
{
    for (size_t i = 0; job->files && i < job->file_count; i++) {
        free(job->files[i].name);
        free(job->files[i].data);
    }
    free(job->files);
    export_plan_free(&job->plan);
    pack_evidence_free(&job->evidence);
    pack_close(job->file);
    *job = (export_job){0};
}

/* ---- run ------------------------------------------------------- */

/* The list of all files is written first, so that the rest of a killed run can be recognized as an
 * export and removed. */
static err_code write_list(const export_job *job, whole_dir *d, err *e)
{
    const size_t count = job->plan.shard_count + job->file_count;
    char members[LIST_MEMBERS_BYTES];
    const char **const names = calloc(count + 1, sizeof *names);
    char *const shards = calloc((size_t)job->plan.shard_count + 1, SHARD_NAME_BYTES);
    err_code code = OK;
    TRY_OUT(names && shards ? OK : no_memory(e));
    for (size_t i = 0; i < job->file_count; i++) {
        names[i] = job->files[i].name;
    }
    for (uint32_t i = 0; i < job->plan.shard_count; i++) {
        char *const name = shards + (size_t)i * SHARD_NAME_BYTES;
        export_shard_name(&job->plan, i, name);
        names[job->file_count + i] = name;
    }
    export_list_members(job->options.preset, job->file->trailer.root, members);
    TRY_OUT(whole_dir_list(d, names, count, members, e));
out:
    free(shards);
    free(names);
    return code;
}

static err_code fill(const export_job *job, whole_dir *d, const monitor *m, err *e)
{
    const export_stream_job stream = {
        .file = job->file,
        .evidence = &job->evidence,
        .plan = &job->plan,
        .folder = whole_dir_folder(d),
        .threads = job->options.threads,
        .memory = job->options.memory,
    };
    TRY(write_list(job, d, e));
    TRY(export_stream(&stream, m, e));
    for (size_t i = 0; i < job->file_count; i++) {
        const export_file *const f = &job->files[i];
        TRY(whole_dir_put(d, f->name, f->data, f->bytes, e));
    }
    return monitor_cancelled(m) ? err_set(e, ERR_CANCELLED, "interrupted") : OK;
}

/* The packed file must not lie where files of an earlier or killed export are removed. */
static err_code guard_input(const export_job *job, err *e)
{
    const char *const path = job->options.output;
    TRY(input_guard_beside(job->file->fd, path, e));
    return job->options.force ? input_guard_directory(job->file->fd, path, e) : OK;
}

err_code export_run(export_job *job, const monitor *m, export_report *report, err *e)
{
    whole_dir *d = NULL;
    const double start = now();
    err_code code = OK;
    TRY_OUT(guard_input(job, e));
    TRY_OUT(whole_dir_open(job->options.output, job->options.force, EXPORT_LIST_NAME, &d, e));
    TRY_OUT(fill(job, d, m, e));
    TRY_OUT(whole_dir_commit(&d, e));
out:
    whole_dir_abandon(&d);
    report->seconds = now() - start;
    return code;
}
