/* The CUDA devices of this machine. In a build without CUDA, listing them fails.
 *
 *     device_list all;
 *     if (device_find_all(&all, e) == OK)
 *         ... all.devices[0 ... all.count - 1]
 *
 * Nothing here creates a CUDA context: listing devices is fast and uses none of their memory. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "format/base/err.h"

enum { DEVICE_MAX = 64 };

typedef struct device_info {
    unsigned index; /* number in the driver's order, after CUDA_VISIBLE_DEVICES */
    char name[256];
    char bus[16];          /* PCI address, "0000:1b:00.0" */
    unsigned major, minor; /* compute capability */
    unsigned multiprocessors;
    uint64_t memory_bytes;
    bool usable; /* this program has machine code or PTX for it */
} device_info;

typedef struct device_list {
    unsigned count;
    device_info devices[DEVICE_MAX];
} device_list;

/* Version of the CUDA runtime that is built in, such as "13.0"; NULL: none. Not thread-safe. */
const char *device_runtime(void);

/* List the devices; at least one after OK. ERR_GPU: CUDA is not built in, there is no driver, it is
 * too old, or there is no device; the message says which. */
MUST_CHECK err_code device_find_all(device_list *out, err *e);

#endif
