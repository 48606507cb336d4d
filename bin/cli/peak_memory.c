#include "bin/cli/peak_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "format/base/num.h"

/* ru_maxrss survives exec: in a child of a larger process it is the peak of the parent. So VmHWM is
 * preferred, and getrusage is used only if the kernel does not provide it. */
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
