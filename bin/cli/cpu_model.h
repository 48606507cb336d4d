/* The model name of the processor. */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include <stddef.h>

/* "AMD EPYC 9454 48-Core Processor"; empty if /proc/cpuinfo has none. Returns `to`. */
const char *cpu_model(char *to, size_t room);

#endif
