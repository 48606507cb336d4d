#include "format/json/json_memory.h"

#include <jansson.h>
#include <stdlib.h>

static _Thread_local unsigned long failures; /* jansson's hooks have no context */

static void *allocate(size_t bytes)
{
    void *const p = malloc(bytes);
    failures += p == NULL;
    return p;
}

/* Before the first use of jansson, and before there are threads. */
__attribute__((constructor)) static void watch_allocations(void)
{
    json_set_alloc_funcs(allocate, free);
}

unsigned long json_failed_allocations(void)
{
    return failures;
}
