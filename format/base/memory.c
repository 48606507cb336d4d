#include "format/base/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

void *memory_large(size_t bytes)
{
    void *p = NULL;
    if (bytes < HUGE_PAGE) {
        return malloc(bytes + !bytes);
    }
    if (posix_memalign(&p, HUGE_PAGE, bytes) != 0) {
        return NULL;
    }
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* a hint: without it the memory is only slower */
    return p;
}
