#include "format/base/cpu_level.h"

#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>

/* The level also includes these three, and compilers use them, but clang 14 cannot test for them
 * by name. */
static bool has_small_extensions(void)
{
    unsigned a = 0;
    unsigned b = 0;
    unsigned basic = 0;
    unsigned extended = 0;
    unsigned d = 0;
    if (!__get_cpuid(1, &a, &b, &basic, &d) || !__get_cpuid(0x80000001, &a, &b, &extended, &d)) {
        return false;
    }
    return (basic & bit_F16C) && (basic & bit_MOVBE) && (extended & bit_LZCNT);
}

/* Feature by feature, because clang 14 does not know "x86-64-v4". The AVX tests also check that the
 * operating system saves the wide registers. */
static bool has_v3(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt") && has_small_extensions();
}

static bool has_v4(void)
{
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
static const char machine[] = "x86-64";
#else
#ifdef __aarch64__
static const char machine[] = "AArch64";
#else
static const char machine[] = "another machine";
#endif

static bool has_v3(void)
{
    return false;
}

static bool has_v4(void)
{
    return false;
}
#endif

bool cpu_level_available(cpu_level level)
{
    switch (level) {
    case CPU_V4:
        return has_v4();
    case CPU_V3:
        return has_v3();
    default:
        return level == CPU_BASELINE;
    }
}

static cpu_level best_level(void)
{
    if (has_v4()) {
        return CPU_V4;
    }
    return has_v3() ? CPU_V3 : CPU_BASELINE;
}

const char *cpu_level_name(cpu_level level)
{
    static const char *const names[CPU_LEVELS] = {"baseline", "v3", "v4"};
    return names[level];
}

err_code cpu_level_choose(cpu_level *level, err *e)
{
    *level = best_level();
    const char *wanted = getenv("OCTAVO_CPU");
    if (!wanted) {
        return OK;
    }
    for (cpu_level l = CPU_BASELINE; l < CPU_LEVELS; l++) {
        if (strcmp(wanted, cpu_level_name(l)) == 0) {
            if (!cpu_level_available(l)) {
                return err_set(e, ERR_USAGE,
                               "OCTAVO_CPU: this processor has at most %s, found \"%s\"",
                               cpu_level_name(*level), wanted);
            }
            *level = l;
            return OK;
        }
    }
    return err_set(e, ERR_USAGE, "OCTAVO_CPU: expected baseline, v3 or v4, found \"%s\"", wanted);
}

const char *cpu_machine(void)
{
    return machine;
}
