#include "bin/cli/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/base/num.h"

/* Decimals for three significant digits: 4.46, 44.6, 446. */
static int decimals_of(double value)
{
    return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

/* Divide by `step` until less than 999.5 is left, so that three digits are enough. */
static const char *scaled(char *to, uint64_t number, double step, const char *const *units)
{
    double value = (double)number;
    unsigned u = 0;
    while (value >= (step > 1000 ? 1023.5 : 999.5) && units[u + 1]) {
        value /= step;
        u++;
    }
    snprintf(to, TEXT_BYTES, "%.*f %s", u == 0 ? 0 : decimals_of(value), value, units[u]);
    const size_t length = strlen(to);
    if (length > 0 && to[length - 1] == ' ') {
        to[length - 1] = '\0';
    }
    return to;
}

const char *text_size(char *to, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", NULL};
    return scaled(to, bytes, 1000, units);
}

const char *text_memory(char *to, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", NULL};
    for (unsigned u = 6; u > 0; u--) {
        const uint64_t unit = (uint64_t)1 << (10 * u);
        if (bytes % unit == 0 && bytes >= unit &&
            bytes / unit < 10000) { /* in the form that --memory accepts */
            snprintf(to, TEXT_BYTES, "%" PRIu64 " %s", bytes / unit, units[u]);
            return to;
        }
    }
    return scaled(to, bytes, 1024, units);
}

const char *text_many(char *to, uint64_t count)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E", NULL};
    return scaled(to, count, 1000, units);
}

const char *text_rate(char *to, uint64_t bytes, double seconds)
{
    if (!(seconds > 0)) {
        snprintf(to, TEXT_BYTES, "- GB/s");
        return to;
    }
    const double rate = (double)bytes / seconds / 1e9;
    snprintf(to, TEXT_BYTES, "%.2f GB/s", rate);
    return to;
}

const char *text_seconds(char *to, double seconds)
{
    if (seconds < 0.0995) {
        snprintf(to, TEXT_BYTES, "%.*f ms", seconds < 0.00995 ? 1 : 0, seconds * 1000);
        return to;
    }
    if (seconds < 99.95) {
        snprintf(to, TEXT_BYTES, "%.*f s", decimals_of(seconds), seconds);
        return to;
    }
    const uint64_t s = (uint64_t)(seconds + 0.5);
    if (s < 3600) {
        snprintf(to, TEXT_BYTES, "%" PRIu64 ":%02" PRIu64 " min", s / 60, s % 60);
    } else {
        snprintf(to, TEXT_BYTES, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " h", s / 3600, s / 60 % 60,
                 s % 60);
    }
    return to;
}

const char *text_shape(char *to, const uint64_t *shape, unsigned ndim)
{
    size_t used = 0;
    to[used++] = '[';
    for (unsigned i = 0; i < ndim; i++) {
        used +=
            (size_t)snprintf(to + used, TEXT_BYTES - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
        used = used < TEXT_BYTES - 2 ? used : TEXT_BYTES - 2;
    }
    to[used++] = ']';
    to[used] = '\0';
    return to;
}

const char *text_decibel(char *to, double db)
{
    if (isnan(db)) {
        snprintf(to, TEXT_BYTES, "exact");
        return to;
    }
    snprintf(to, TEXT_BYTES, "%.2f", db);
    return to;
}

const char *text_quality(char *to, double db)
{
    if (isnan(db)) {
        snprintf(to, TEXT_BYTES, "no quantization error");
        return to;
    }
    snprintf(to, TEXT_BYTES, "SQNR %.2f dB", db);
    return to;
}

const char *text_tensors(char *to, uint64_t quantized, uint64_t carried, uint64_t kept)
{
    char over[40];
    snprintf(over, sizeof over, ", %" PRIu64 " carried over", carried);
    snprintf(to, TEXT_BYTES, "%" PRIu64 ": %" PRIu64 " quantized%s, %" PRIu64 " kept",
             quantized + carried + kept, quantized, carried > 0 ? over : "", kept);
    return to;
}

unsigned text_columns(const char *s)
{
    unsigned columns = 0;
    for (; *s; s++) {
        columns += ((unsigned char)*s & 0xc0) != 0x80;
    }
    return columns;
}
