/* Infinities and NaNs: in tensors to quantize, and in FP8 that is taken over, they end the
 * conversion, in kept ones they are counted.
 *
 * The error names the first such tensor in file order, its first such element and their number,
 * whatever the threads did: after the first find, the work goes on to the end of that tensor, and
 * no further. */
#ifndef NONFINITE_H
#define NONFINITE_H

#include <pthread.h>
#include <stdint.h>

#include "format/tensor/dtype.h"

/* `lock` guards the rest. */
typedef struct nonfinite_log {
    pthread_mutex_t lock;
    uint64_t
        source; /* of the quantized tensor to refuse: its number in SDIG order; UINT64_MAX: none */
    uint64_t count, first; /* in that tensor; first: element index, row-major */
    uint64_t kept_count;   /* in all kept tensors */
    uint32_t kept_record;  /* the first kept record with some */
} nonfinite_log;

void nonfinite_open(nonfinite_log *log);
void nonfinite_close(nonfinite_log *log);

/* Work on this source tensor is still wanted. */
bool nonfinite_wanted(nonfinite_log *log, uint64_t source);

void nonfinite_report(nonfinite_log *log, uint64_t source, uint64_t count, uint64_t first);
void nonfinite_report_kept(nonfinite_log *log, uint32_t record, uint64_t count);

/* Infinities and NaNs among `bytes` bytes of elements; 0 for types that have none, or of 8 bits and
 * less. */
uint64_t nonfinite_count(dtype t, const void *data, uint64_t bytes);

/* The same in codes and their scales, F8_E4M3 and F8_E8M0 included; *first: the index of the first
 * one, if there are any. */
uint64_t nonfinite_find(dtype t, const unsigned char *data, uint64_t bytes, uint64_t *first);

#endif
