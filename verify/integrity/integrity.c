#include "verify/integrity/integrity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "verify/integrity/walk.h"

static err_code take_steps(walk *w, err *e)
{
    err_code code = walk_ends(w, e);
    if (code == OK) {
        code = walk_sections(w, e);
    }
    if (code == OK) {
        walk_length(w);
    }
    if (code == OK && w->has_table && !w->options->quick) {
        code = walk_data(w, e);
    }
    return code;
}

err_code integrity_check(int fd, const char *path, const integrity_options *options,
                         const monitor *m, integrity_report *out, err *e)
{
    struct stat st;
    *out = (integrity_report){0};
    if (fstat(fd, &st) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    walk *const w = calloc(1, sizeof *w);
    if (!w) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    w->fd = fd;
    w->path = path;
    w->options = options;
    w->monitor = m;
    w->file_bytes = (uint64_t)st.st_size;
    damage_list_init(&w->damages);

    err_code code = take_steps(w, e);
    const err_code listed = damage_list_finish(&w->damages, out, e);
    out->chunks_checked = w->chunks_checked;
    out->bytes_checked = w->bytes_checked;
    out->tensors_checked = w->tensors_checked;

    damage_list_free(&w->damages);
    pack_table_free(&w->table);
    free(w->chunk_digests);
    free(w->tensor_digests);
    free(w->head);
    free(w);
    return code == OK ? listed : code;
}
