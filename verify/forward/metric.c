#include "verify/forward/metric.h"

#include <assert.h>
#include <string.h>

#define OFFSET_LAYER(member)     offsetof(layer_measure, member)
#define OFFSET_ROUTER(member)    offsetof(layer_measure, member)
#define OFFSET_SLOPES(member)    offsetof(layer_measure, member)
#define OFFSET_REFERENCE(member) offsetof(layer_measure, member)
#define OFFSET_SUMMARY(member)   offsetof(position_summary, member)

const metric_row metrics[METRIC_COUNT] = {
#define X(scope, code, name, member, limit, bound, form, heading)                                  \
    {#name, heading, SCOPE_##scope, LIMIT_##limit, FORM_##form, bound, OFFSET_##scope(member)},
    METRICS(X)
#undef X
};

static double double_at(const void *of, size_t offset)
{
    double x = 0;
    memcpy(&x, (const char *)of + offset, sizeof x);
    return x;
}

_Static_assert(sizeof(layer_measure) % sizeof(double) == 0, "doubles and nothing else");

layer_measure layer_unmeasured(void)
{
    layer_measure l;
    const double none = NAN;
    for (size_t off = 0; off < sizeof l; off += sizeof none) {
        memcpy((char *)&l + off, &none, sizeof none);
    }
    return l;
}

double metric_of_layer(metric m, const layer_measure *l)
{
    assert(metrics[m].scope != SCOPE_SUMMARY);
    return double_at(l, metrics[m].offset);
}

double metric_of_summary(metric m, const position_summary *s)
{
    assert(metrics[m].scope == SCOPE_SUMMARY);
    return double_at(s, metrics[m].offset);
}
