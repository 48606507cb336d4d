#include "convert/unpack/unpack.h"

#include <stdlib.h>
#include <string.h>

#include "format/file/io.h"
#include "format/output/input_guard.h"
#include "format/output/output.h"
#include "format/output/output_dir.h"
#include "format/pack/pack_end.h"
#include "format/safetensors/safetensors_write.h"

static err_code no_memory(const unpack_job *job, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", job->options.output);
}

/* The monitor may ask to stop after the last chunk, when the output is not yet renamed. */
static err_code check_cancelled(const monitor *m, err *e)
{
    return monitor_cancelled(m) ? err_set(e, ERR_CANCELLED, "interrupted") : OK;
}

/* ---- one file -------------------------------------------------- */

/* In the directory, if it is not NULL, otherwise at the path that was asked for. */
static err_code open_writer(unpack_job *job, const output_folder *folder, const monitor *m,
                            st_writer **out, err *e)
{
    const unpack_options *const o = &job->options;
    const size_t count = job->tensor_count;
    st_tensor *const list = calloc(count + 1, sizeof *list);
    if (!list) {
        return no_memory(job, e);
    }
    for (size_t i = 0; i < count; i++) {
        const unpack_tensor *const t = &job->tensors[i];
        list[i] = (st_tensor){.name = t->name, .type = t->type, .ndim = t->ndim};
        memcpy(list[i].shape, t->shape, sizeof t->shape);
        job->bytes_written += t->bytes;
    }
    const err_code code =
        folder ? st_writer_open_in(folder, UNPACK_TENSORS, list, count, NULL, m, out, e)
               : st_writer_open(o->output, o->force, list, count, NULL, m, out, e);
    free(list);
    return code;
}

static err_code write_tensors(unpack_job *job, const output_folder *folder, const monitor *m,
                              err *e)
{
    st_writer *w = NULL;
    err_code code = OK;
    TRY_OUT(open_writer(job, folder, m, &w, e));
    TRY_OUT(pack_end(job->file, m, unpack_tensors(job, w, m, e), e));
    TRY_OUT(check_cancelled(m, e));
    TRY_OUT(st_writer_commit(&w, e));
out:
    st_writer_abandon(&w);
    return code;
}

/* ---- a directory ----------------------------------------------- */

static err_code claim(const unpack_job *job, const output_dir *d, const char *name, err *e)
{
    char *const path = output_dir_final(d, name);
    err_code code = OK;
    TRY_OUT(path ? output_dir_claim(d, name, e) : no_memory(job, e));
    TRY_OUT(input_guard_file(job->file->fd, path, e));
out:
    free(path);
    return code;
}

static err_code claim_all(const unpack_job *job, const output_dir *d, err *e)
{
    if (job->tensor_count > 0) {
        TRY(claim(job, d, UNPACK_TENSORS, e));
    }
    for (size_t i = 0; i < job->file_count; i++) {
        TRY(claim(job, d, job->files[i].name, e));
    }
    return OK;
}

static err_code fill(unpack_job *job, const output_dir *d, const monitor *m, err *e)
{
    for (size_t i = 0; i < job->file_count; i++) {
        const member *const f = &job->files[i];
        TRY(output_dir_put(d, f->name, f->data, f->bytes, e));
        job->bytes_written += f->bytes;
    }
    if (job->tensor_count == 0) {
        return OK;
    }
    const output_folder folder = output_dir_folder(d);
    return write_tensors(job, &folder, m, e);
}

/* All names that unpacking this file can write, whatever is chosen: a killed run, whose files are
 * to be removed, may have chosen others. Free with free(). */
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

/* Temporary directories are emptied before any name is claimed: the packed file must not be in one.
 */
static err_code guard_parts(const unpack_job *job, err *e)
{
    const int fd = job->file->fd;
    char *const inside = io_join(job->options.output, OUTPUT_DIR_PART);
    err_code code = OK;
    TRY_OUT(inside ? input_guard_directory(fd, inside, e) : no_memory(job, e));
    TRY_OUT(input_guard_beside(fd, job->options.output, e));
out:
    free(inside);
    return code;
}

static err_code write_directory(unpack_job *job, const monitor *m, err *e)
{
    output_dir *d = NULL;
    const char **const names = all_names(job);
    err_code code = OK;
    TRY_OUT(names ? guard_parts(job, e) : no_memory(job, e));
    TRY_OUT(output_dir_open(job->options.output, job->options.force, names, job->member_count + 1,
                            &d, e));
    TRY_OUT(claim_all(job, d, e));
    TRY_OUT(fill(job, d, m, e));
    TRY_OUT(check_cancelled(m, e));
    TRY_OUT(output_dir_commit(&d, e));
out:
    output_dir_abandon(&d);
    free(names);
    return code;
}

err_code unpack_run(unpack_job *job, const monitor *m, err *e)
{
    if (job->options.place == UNPACK_DIRECTORY) {
        return write_directory(job, m, e);
    }
    TRY(input_guard_file(job->file->fd, job->options.output, e));
    return write_tensors(job, NULL, m, e);
}
