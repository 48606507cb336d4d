#include "verify/integrity/read_back.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>

#include "format/output/mapped_output.h"
#include "verify/integrity/integrity.h"

static const char differs[] = "the bytes read back differ from those written";

/* A damaged place is a fault of the disk. A place that breaks a rule although all digests match was
 * written like that, which is a fault of the program or of its memory. */
static err_code judge_place(const pack_written *w, const damage *d, err *e)
{
    return d->code == ERR_DAMAGED
               ? err_set(e, ERR_IO, "%s: %s: %s: %s (offset %" PRIu64 ")", w->path, d->place,
                         differs, d->what, d->off)
               : err_set(e, ERR_INTERNAL, "%s: %s: what was written breaks a rule: %s", w->path,
                         d->place, d->what);
}

static err_code judge(const pack_written *w, const integrity_report *found, err *e)
{
    for (size_t i = 0; i < found->count; i++) {
        if (found->damages[i].code == ERR_DAMAGED) {
            return judge_place(w, &found->damages[i], e);
        }
    }
    if (found->count > 0) {
        return judge_place(w, &found->damages[0], e);
    }
    return memcmp(found->root, w->root, SHA256_BYTES) == 0
               ? OK
               : err_set(e, ERR_IO, "%s: %s: it is a packed file with another root", w->path,
                         differs);
}

/* Without this the page cache would answer for what is not tensor data. It is only advice, so ask
 * whether it was followed. A file system that cannot say so has dropped them, as far as we know. */
static bool drop_pages(int fd)
{
    unsigned char first = 0;
    const struct iovec piece = {&first, 1};
    return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0 &&
           preadv2(fd, &piece, 1, 0, RWF_NOWAIT) < 1;
}

err_code integrity_read_back(const pack_written *w, const monitor *m, pack_read_from *from, err *e)
{
    const integrity_options options = {.written = w, .threads = w->buffer_count};
    integrity_report found = {0};
    err why = {0};
    const bool dropped = drop_pages(w->fd);
    err_code code = integrity_check(w->fd, w->path, &options, m, &found, &why);
    if (code == OK) {
        code = judge(w, &found, e);
    } else if (code == ERR_INPUT) { /* it does not even begin like a packed file */
        code = err_set(e, ERR_IO, "%s: %s", why.text, differs);
    } else {
        (void)err_set(e, code, "%s", why.text); /* its hint would be for a user of verify */
    }
    *from = mapped_output_is_one(w->fd)       ? READ_FROM_MEMORY
            : dropped && !found.through_cache ? READ_FROM_DISK
                                              : READ_FROM_CACHE;
    integrity_report_free(&found);
    return code;
}
