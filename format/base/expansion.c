#include "format/base/expansion.h"

static uint64_t raised;

void expansion_raise(uint64_t bytes)
{
    raised = bytes;
}

uint64_t expansion_limit(uint64_t usual)
{
    return usual > raised ? usual : raised;
}
