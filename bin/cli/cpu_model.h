/* The processor, as the system names it. */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include <stddef.h>

/* "AMD EPYC 9454 48-Core Processor"; empty where /proc/cpuinfo does not say. Returns `to`. */
const char *cpu_model(char *to, size_t room);

#endif
