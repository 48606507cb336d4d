#include "convert/stream/nonfinite.h"

#include <stddef.h>

void nonfinite_open(nonfinite_log *log)
{
    *log = (nonfinite_log){
        .source = UINT64_MAX, .kept_record = UINT32_MAX, .lock = PTHREAD_MUTEX_INITIALIZER};
}

void nonfinite_close(nonfinite_log *log)
{
    pthread_mutex_destroy(&log->lock);
}

bool nonfinite_wanted(nonfinite_log *log, uint64_t source)
{
    pthread_mutex_lock(&log->lock);
    const bool wanted = source <= log->source;
    pthread_mutex_unlock(&log->lock);
    return wanted;
}

void nonfinite_report(nonfinite_log *log, uint64_t source, uint64_t count, uint64_t first)
{
    pthread_mutex_lock(&log->lock);
    if (source < log->source) {
        log->source = source;
        log->count = 0;
        log->first = first;
    }
    if (source == log->source) {
        log->count += count;
        log->first = first < log->first ? first : log->first;
    }
    pthread_mutex_unlock(&log->lock);
}

void nonfinite_report_kept(nonfinite_log *log, uint32_t record, uint64_t count)
{
    pthread_mutex_lock(&log->lock);
    log->kept_count += count;
    log->kept_record = record < log->kept_record ? record : log->kept_record;
    pthread_mutex_unlock(&log->lock);
}

/* Count elements whose exponent bits are all set, in one plain loop per width, which the compiler
 * vectorizes. */
static uint64_t count16(const uint16_t *p, size_t n, uint16_t exponent)
{
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += (p[i] & exponent) == exponent;
    }
    return count;
}

static uint64_t count32(const uint32_t *p, size_t n)
{
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += (p[i] & 0x7f800000u) == 0x7f800000u;
    }
    return count;
}

static uint64_t count64(const uint64_t *p, size_t n)
{
    const uint64_t exponent = 0x7ff0000000000000u;
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += (p[i] & exponent) == exponent;
    }
    return count;
}

/* Count bytes in which all bits of `mask` are set. */
static uint64_t count8(const uint8_t *p, size_t n, uint8_t mask)
{
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += (p[i] & mask) == mask;
    }
    return count;
}

static uint64_t count_any(dtype t, const unsigned char *data, uint64_t bytes)
{
    if (t == DTYPE_F8_E4M3 || t == DTYPE_F8_E8M0) {
        return count8(data, bytes, t == DTYPE_F8_E4M3 ? 0x7f : 0xff);
    }
    return nonfinite_count(t, data, bytes);
}

uint64_t nonfinite_find(dtype t, const unsigned char *data, uint64_t bytes, uint64_t *first)
{
    const uint64_t each = dtype_bits(t) / 8;
    const uint64_t count = count_any(t, data, bytes);
    for (uint64_t i = 0; count > 0; i++) {
        if (count_any(t, data + i * each, each) > 0) {
            *first = i;
            break;
        }
    }
    return count;
}

uint64_t nonfinite_count(dtype t, const void *data, uint64_t bytes)
{
    switch (t) {
    case DTYPE_BF16:
        return count16(data, bytes / 2, 0x7f80);
    case DTYPE_F16:
        return count16(data, bytes / 2, 0x7c00);
    case DTYPE_F32:
    case DTYPE_C64:
        return count32(data, bytes / 4);
    case DTYPE_F64:
        return count64(data, bytes / 8);
    default:
        return 0;
    }
}
