#include "format/archive/archive_memory.h"

#include <errno.h>
#include <signal.h>

/* A handler of a signal has no context argument. */
static _Thread_local volatile sig_atomic_t working;

void archive_memory_start(void)
{
    errno = 0;
    working = 1;
}

void archive_memory_end(void)
{
    working = 0;
}

bool archive_memory_is_short(void)
{
    return working && errno == ENOMEM;
}

err_code archive_memory_check(const char *path, struct archive *a, err *e)
{
    const bool is_short = errno == ENOMEM || archive_errno(a) == ENOMEM;
    return is_short ? err_set(e, ERR_MEMORY, "%s: no memory to read the archive", path) : OK;
}
