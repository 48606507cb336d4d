/* Infinities and NaNs: in tensors to quantize, and in FP8 that is carried over, they end the
 * conversion; in kept tensors they are counted.
 *
 *     if (nonfinite_wanted(&log, source))                  before the work on a part of a tensor
 *         ... nonfinite_report(&log, source, count, first) ...
 *     if (log.source != UINT64_MAX) ...                    after all work: refuse
 *
 * The error names the first such tensor in file order, its first such element and how many there
 * are, whatever the threads did: after the first find, work continues to the end of that tensor and
 * no further. All functions may be called by several threads at once, except open and close. */
#ifndef NONFINITE_H
#define NONFINITE_H

#include <pthread.h>
#include <stdint.h>

#include "format/tensor/dtype.h"

/* `lock` guards the rest. */
typedef struct nonfinite_log {
    pthread_mutex_t lock;
    uint64_t source;       /* the tensor to refuse: its number in SDIG order; UINT64_MAX: none */
    uint64_t count, first; /* in that tensor; first: element index, row-major */
    uint64_t kept_count;   /* in all kept tensors */
    uint32_t kept_record;  /* the first kept record with any; UINT32_MAX: none */
} nonfinite_log;

void nonfinite_open(nonfinite_log *log);
void nonfinite_close(nonfinite_log *log);

/* Is work on this source tensor still wanted? Not if an earlier one is to be refused. */
bool nonfinite_wanted(nonfinite_log *log, uint64_t source);

/* A part of a tensor has `count` (> 0) of them, the first at element `first` of the tensor. */
void nonfinite_report(nonfinite_log *log, uint64_t source, uint64_t count, uint64_t first);
void nonfinite_report_kept(nonfinite_log *log, uint32_t record, uint64_t count);

/* How many infinities and NaNs are in `bytes` bytes of elements; 0 for types that have none, and
 * for all types of 8 bits or fewer. */
uint64_t nonfinite_count(dtype t, const void *data, uint64_t bytes);

/* The same in codes and their scales, where F8_E4M3 and F8_E8M0 count too; *first: the index of the
 * first one, if there are any. */
uint64_t nonfinite_find(dtype t, const unsigned char *data, uint64_t bytes, uint64_t *first);

#endif
