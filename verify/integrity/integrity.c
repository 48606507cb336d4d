#include "verify/integrity/integrity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/file/file_stamp.h"
#include "verify/integrity/scan.h"

static err_code take_steps(scan *s, err *e)
{
    TRY(scan_ends(s, e));
    TRY(scan_sections(s, e));
    scan_length(s);
    return scan_data(s, e);
}

/* Damage in a file that somebody changes meanwhile is no damage, and its absence means nothing. */
static err_code check_steady(const scan *s, const file_stamp *before, err_code code, err *e)
{
    struct stat now;
    bool touched = false;
    if (fstat(s->fd, &now) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", s->path);
    }
    TRY(file_stamp_check(before, &now, s->path, &touched, e));
    return touched && (code != OK || s->damages.count > 0) ? file_stamp_refuse(s->path, e) : OK;
}

err_code integrity_check(int fd, const char *path, const integrity_options *options,
                         const monitor *m, integrity_report *out, err *e)
{
    struct stat st;
    *out = (integrity_report){0};
    if (fstat(fd, &st) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    scan *const s = calloc(1, sizeof *s);
    if (!s) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    s->fd = fd;
    s->path = path;
    s->options = options;
    s->monitor = m;
    s->file_bytes = (uint64_t)st.st_size;
    const file_stamp before = options->opened ? *options->opened : file_stamp_of(&st);
    damage_list_init(&s->damages);

    err_code code = take_steps(s, e);
    err late = {0};
    late.code = check_steady(s, &before, code, &late);
    code = err_overrule(e, code, &late);
    const err_code listed = damage_list_finish(&s->damages, out, e);
    out->chunks_checked = s->chunks_checked;
    out->bytes_checked = s->bytes_checked;
    out->tensors_checked = s->tensors_checked;
    out->through_cache = s->through_cache;
    if (s->has_trailer) {
        memcpy(out->root, s->trailer.root, SHA256_BYTES);
    }

    damage_list_free(&s->damages);
    pack_table_free(&s->table);
    free(s->chunk_digests);
    free(s->tensor_digests);
    free(s->head);
    free(s);
    return code != OK ? code : listed;
}
