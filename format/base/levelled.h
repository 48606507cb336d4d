/* Levelled sources: templates that the Makefile compiles once for each instruction level
 * (-DKERNEL_LEVEL=baseline, v3 or v4), each with a table of its functions. All levels give the same
 * bits.
 *
 *     LEVELLED_TABLES(tile_kernel)                    header: the tables, and tile_kernel_at(level)
 *     const tile_kernel LEVELLED(tile_kernel) = {...  source: this level's table
 *
 * On processors that have only the baseline, TYPE_at returns it. */
#ifndef LEVELLED_H
#define LEVELLED_H

#include "format/base/cpu_level.h"

#ifndef KERNEL_LEVEL
#define KERNEL_LEVEL baseline
#endif

#define LEVELLED_JOIN(type, level) type##_##level
#define LEVELLED_NAME(type, level) LEVELLED_JOIN(type, level)
#define LEVELLED(type)             LEVELLED_NAME(type, KERNEL_LEVEL)
#define LEVELLED_QUOTE(level)      #level
#define LEVELLED_TEXT(level)       LEVELLED_QUOTE(level)
#define LEVEL_NAME                 LEVELLED_TEXT(KERNEL_LEVEL)

#ifdef __x86_64__
#define LEVELLED_TABLES(type)                                                                      \
    extern const type type##_baseline, type##_v3, type##_v4;                                       \
    static inline const type *type##_at(cpu_level level)                                           \
    {                                                                                              \
        return level == CPU_V4 ? &type##_v4 : level == CPU_V3 ? &type##_v3 : &type##_baseline;     \
    }
#else
#define LEVELLED_TABLES(type)                                                                      \
    extern const type type##_baseline;                                                             \
    static inline const type *type##_at(cpu_level level)                                           \
    {                                                                                              \
        (void)level;                                                                               \
        return &type##_baseline;                                                                   \
    }
#endif

#endif
