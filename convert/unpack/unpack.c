#include "convert/unpack/unpack.h"

#include <stdlib.h>
#include <string.h>

#include "format/output/input_guard.h"
#include "format/file/io.h"
#include "format/output/output.h"
#include "format/output/output_dir.h"
#include "format/safetensors/safetensors_write.h"

static err_code no_memory(const unpack_job *job, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", job->options.output);
}

/* Asked to stop behind the last chunk, but before there is an output. */
static err_code check_cancelled(const monitor *m, err *e)
{
    return monitor_cancelled(m) ? err_set(e, ERR_CANCELLED, "interrupted") : OK;
}

/* ---- one file -------------------------------------------------- */

/* The safetensors file at `path`. */
static err_code write_tensors(unpack_job *job, const char *path, bool force, const monitor *m,
                              err *e)
{
    st_writer *w = NULL;
    st_tensor *const list = calloc(job->tensor_count + 1, sizeof *list);
    err_code code = list ? OK : no_memory(job, e);
    for (size_t i = 0; i < job->tensor_count && code == OK; i++) {
        const unpack_tensor *const t = &job->tensors[i];
        list[i] = (st_tensor){.name = t->name, .type = t->type, .ndim = t->ndim};
        memcpy(list[i].shape, t->shape, sizeof t->shape);
        job->bytes_written += t->bytes;
    }
    if (code == OK) {
        code = st_writer_open(path, force, list, job->tensor_count, NULL, &w, e);
    }
    free(list);
    if (code == OK) {
        code = unpack_tensors(job, w, m, e);
    }
    if (code == OK) {
        code = check_cancelled(m, e);
    }
    if (code == OK) {
        code = st_writer_commit(&w, e);
    }
    st_writer_abandon(&w);
    return code;
}

/* ---- a directory ----------------------------------------------- */

static err_code claim(const unpack_job *job, const output_dir *d, const char *name, err *e)
{
    char *const path = output_dir_final(d, name);
    err_code code = path ? output_dir_claim(d, name, e) : no_memory(job, e);
    if (code == OK) {
        code = input_guard_file(job->file->fd, path, e);
    }
    free(path);
    return code;
}

static err_code claim_all(const unpack_job *job, const output_dir *d, err *e)
{
    err_code code = job->tensor_count > 0 ? claim(job, d, UNPACK_TENSORS, e) : OK;
    for (size_t i = 0; i < job->file_count && code == OK; i++) {
        code = claim(job, d, job->files[i].name, e);
    }
    return code;
}

static err_code fill(unpack_job *job, const output_dir *d, const monitor *m, err *e)
{
    err_code code = OK;
    for (size_t i = 0; i < job->file_count && code == OK; i++) {
        char *const path = io_join(output_dir_path(d), job->files[i].name);
        code = path ? output_write_file(path, job->files[i].data, job->files[i].bytes, e)
                    : no_memory(job, e);
        job->bytes_written += job->files[i].bytes;
        free(path);
    }
    if (code == OK && job->tensor_count > 0) {
        char *const path = io_join(output_dir_path(d), UNPACK_TENSORS);
        code = path ? write_tensors(job, path, false, m, e) : no_memory(job, e);
        free(path);
    }
    return code;
}

/* What unpacking this file can make, whatever is chosen: a killed run may have had another choice.
 * The caller's to free(). */
static const char **all_names(const unpack_job *job)
{
    const char **const names = calloc(job->member_count + 1, sizeof *names);
    for (size_t i = 0; names && i < job->member_count; i++) {
        names[i] = job->files[i].name;
    }
    if (names) {
        names[job->member_count] = UNPACK_TENSORS;
    }
    return names;
}

/* Temporary directories, which are emptied before anything is claimed. */
static err_code guard_parts(const unpack_job *job, err *e)
{
    const int fd = job->file->fd;
    char *const inside = io_join(job->options.output, OUTPUT_DIR_PART);
    err_code code = inside ? input_guard_directory(fd, inside, e) : no_memory(job, e);
    if (code == OK) {
        code = input_guard_beside(fd, job->options.output, e);
    }
    free(inside);
    return code;
}

static err_code write_directory(unpack_job *job, const monitor *m, err *e)
{
    output_dir *d = NULL;
    const char **const names = all_names(job);
    err_code code = names ? guard_parts(job, e) : no_memory(job, e);
    if (code == OK) {
        code = output_dir_open(job->options.output, job->options.force, names,
                               job->member_count + 1, &d, e);
    }
    if (code == OK) {
        code = claim_all(job, d, e);
    }
    if (code == OK) {
        code = fill(job, d, m, e);
    }
    if (code == OK) {
        code = check_cancelled(m, e);
    }
    if (code == OK) {
        code = output_dir_commit(&d, e);
    }
    output_dir_abandon(&d);
    free(names);
    return code;
}

err_code unpack_run(unpack_job *job, const monitor *m, err *e)
{
    if (job->options.place == UNPACK_DIRECTORY) {
        return write_directory(job, m, e);
    }
    const err_code code = input_guard_file(job->file->fd, job->options.output, e);
    return code == OK ? write_tensors(job, job->options.output, job->options.force, m, e) : code;
}
