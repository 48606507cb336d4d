#include "format/pack/pack_end.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/file/io.h"
#include "format/pack/pack_read.h"

enum { SAMPLE = 16 };

/* All digests follow from the root, so it is the same if and only if they are. */
static err_code compare_root(const pack_file *p, err *e)
{
    unsigned char front[PACK_BLOCK];
    unsigned char back[PACK_BLOCK];
    unsigned char root[SHA256_BYTES];
    TRY(io_read_at(p->fd, p->path, 0, front, sizeof front, e));
    TRY(io_read_at(p->fd, p->path, p->file_bytes - PACK_BLOCK, back, sizeof back, e));
    TRY(pack_root(front, back, root, e));
    return memcmp(root, p->trailer.root, sizeof root) == 0 ? OK : file_stamp_refuse(p->path, e);
}

static err_code compare_chunk(const pack_file *p, const pack_evidence *v, const pack_record *r,
                              err *e)
{
    err late = {0};
    const pack_range at = pack_record_range(r, 0, r->len > 0 ? 1 : 0);
    unsigned char *const data = malloc(at.bytes + 1);
    if (!data) {
        return err_set(e, ERR_MEMORY, "%s: no memory", p->path);
    }
    const err_code code = pack_read_range(p, v, &at, NULL, data, &late);
    free(data);
    return code == ERR_DAMAGED ? file_stamp_refuse(p->path, e)
           : code == OK        ? OK
                               : err_set(e, code, "%s", late.text);
}

static err_code compare_again(const pack_file *p, err *e)
{
    pack_evidence v = {0};
    err_code code = OK;
    err late = {0};
    TRY(compare_root(p, e));
    code = pack_read_evidence(p, &v, &late);
    if (code != OK) {
        return code == ERR_DAMAGED ? file_stamp_refuse(p->path, e)
                                   : err_set(e, code, "%s", late.text);
    }
    for (uint64_t i = 0; i < SAMPLE && p->table.count > 0; i++) {
        const uint64_t at = i * (p->table.count - 1) / (SAMPLE - 1);
        TRY_OUT(compare_chunk(p, &v, &p->table.records[at], e));
    }
out:
    pack_evidence_free(&v);
    return code;
}

static err_code check(const pack_file *p, const monitor *m, err_code code, err *e)
{
    struct stat now;
    bool touched = false;
    if (fstat(p->fd, &now) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", p->path);
    }
    TRY(file_stamp_check(&p->stamp, &now, p->path, &touched, e));
    if (!touched) {
        return OK;
    }
    if (code == ERR_DAMAGED || code == ERR_INPUT) {
        return file_stamp_refuse(p->path, e);
    }
    if (code == OK || code == ERR_DIFFERENT || code == ERR_NUMERIC) {
        TRY(compare_again(p, e));
        file_stamp_note(m, p->path);
    }
    return OK;
}

err_code pack_end(const pack_file *p, const monitor *m, err_code code, err *e)
{
    err late = {0};
    late.code = check(p, m, code, &late);
    return err_overrule(e, code, &late);
}
