/* Limits files: an accepted file gives limits that can be applied, a refused one leaves the limits
 * as they were. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "verify/forward/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    limits before;
    limits l;
    err e = {0};
    limits_default(&before);
    limits_default(&l);
    const err_code code = limits_parse(&l, "f", (const char *)data, size, &e);
    require(code == e.code && (code == OK || e.text[0]));
    require(code == OK || memcmp(&l, &before, sizeof l) == 0);
    for (int a = 0; a < LIMITS_ACTIVATIONS; a++) {
        for (int m = 0; m < METRIC_COUNT; m++) {
            const double bound = l.bounds[a][m];
            const double most = metrics[m].limit == LIMIT_MINIMUM ? 1 : HUGE_VAL;
            require(isnan(bound) || (bound >= 0 && bound <= most && isfinite(bound)));
        }
    }
    return 0;
}
