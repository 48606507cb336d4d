#include "format/file/file_stamp.h"

#include <inttypes.h>

static uint64_t nanoseconds(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

file_stamp file_stamp_of(const struct stat *st)
{
    return (file_stamp){.bytes = (uint64_t)st->st_size,
                        .mtime_ns = nanoseconds(&st->st_mtim),
                        .ctime_ns = nanoseconds(&st->st_ctim),
                        .device = (uint64_t)st->st_dev,
                        .inode = (uint64_t)st->st_ino};
}

err_code file_stamp_check(const file_stamp *s, const struct stat *now, const char *path,
                          bool *touched, err *e)
{
    const file_stamp found = file_stamp_of(now);
    *touched = false;
    if (found.bytes != s->bytes) {
        return err_set(e, ERR_IO,
                       "%s: changed during the run: expected %" PRIu64 " bytes, found %" PRIu64,
                       path, s->bytes, found.bytes);
    }
    if (found.mtime_ns != s->mtime_ns) {
        return err_set(e, ERR_IO, "%s: changed during the run: it has another modification time",
                       path);
    }
    if (found.device != s->device || found.inode != s->inode) {
        return err_set(e, ERR_IO, "%s: changed during the run: it was replaced by another file",
                       path);
    }
    *touched = found.ctime_ns != s->ctime_ns;
    return OK;
}

void file_stamp_note(const monitor *m, const char *path)
{
    monitor_note(m,
                 "%s: permissions, owner or links changed during the run; what was read again is "
                 "still the same",
                 path);
}

err_code file_stamp_refuse(const char *path, err *e)
{
    return err_set(e, ERR_IO,
                   "%s: changed during the run: other content with the old modification time",
                   path);
}
