#include "bin/cli/version.h"

#include <stdio.h>

#include "format/base/cpu_level.h"
#include "gpu/device/device.h"

const char version_number[] = OCTAVO_VERSION;
const char version_git[] = OCTAVO_GIT;

err_code version_print(err *e)
{
    cpu_level level = CPU_BASELINE;
    TRY(cpu_level_choose(&level, e));
    printf("octavo %s\n", version_number);
    printf("git    %s\n", version_git);
    printf("for    Linux on %s\n", cpu_machine());
    printf("CPU    %s\n", cpu_level_name(level));
    printf("CUDA   %s\n", device_runtime() ? device_runtime() : "not built in");
    return OK;
}
