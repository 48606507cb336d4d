#include "format/archive/archive_memory.h"

#include <errno.h>
#include <stdbool.h>

void archive_memory_start(void)
{
    errno = 0;
}

err_code archive_memory_check(const char *path, struct archive *a, err *e)
{
    const bool is_short = errno == ENOMEM || archive_errno(a) == ENOMEM;
    return is_short ? err_set(e, ERR_MEMORY, "%s: no memory to read the archive", path) : OK;
}
