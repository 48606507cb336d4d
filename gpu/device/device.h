/* The CUDA devices of this machine. A build without CUDA (CUDA=0) has none, and says so.
 *
 * Nothing here makes a CUDA context: listing devices is quick and takes none of their memory. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "format/base/err.h"

enum { DEVICE_MAX = 64 };

typedef struct device_info {
    unsigned index; /* as the driver counts them, after CUDA_VISIBLE_DEVICES */
    char name[256];
    char bus[16];          /* PCI address, "0000:1b:00.0" */
    unsigned major, minor; /* compute capability */
    unsigned multiprocessors;
    uint64_t memory_bytes;
    bool usable; /* this program has code for it */
} device_info;

typedef struct device_list {
    unsigned count;
    device_info devices[DEVICE_MAX];
} device_list;

/* "13.0": the CUDA runtime that is built in; NULL: none. */
const char *device_runtime(void);

/* Errors: ERR_GPU: CUDA is not built in, there is no driver or it is too old, there is no device;
 * the message says which. */
MUST_CHECK err_code device_find_all(device_list *out, err *e);

#endif
