#include "bin/cli/peak_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "format/base/num.h"

/* What getrusage says counts from before the exec: in a process that was forked off a larger one
 * that is the other's memory. Where the kernel does not tell its own, it has to do. */
uint64_t peak_memory(void)
{
    static const char key[] = "VmHWM:";
    char line[256];
    unsigned long long kib = 0;
    struct rusage used;
    FILE *const f = fopen("/proc/self/status", "re");
    while (f && kib == 0 && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, sizeof key - 1) == 0) {
            kib = strtoull(line + sizeof key - 1, NULL, 10);
        }
    }
    if (f) {
        (void)fclose(f); /* it was only read */
    }
    if (kib == 0 && getrusage(RUSAGE_SELF, &used) == 0) {
        kib = (unsigned long long)used.ru_maxrss;
    }
    return (uint64_t)kib * KIB;
}
