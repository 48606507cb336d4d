/* Tests that need a GPU. Without one they print the reason and pass:
 *
 *     skipped: no NVIDIA driver
 *
 * All tests of a program run in one process, because CUDA does not survive a fork. */
#ifndef GPU_CASE_H
#define GPU_CASE_H

#include <stdbool.h>

#include "gpu/device/device.h"
#include "tests/aid/expect.h"

static inline bool gpu_is_there(void)
{
    device_list all;
    err e = {0};
    if (device_find_all(&all, &e) == OK && all.devices[0].usable) {
        return true;
    }
    printf("skipped: %s\n", e.text);
    return false;
}

static inline int run_gpu_tests(const char *name, TCase *tc)
{
    Suite *const s = suite_create(name);
    suite_add_tcase(s, tc);
    SRunner *const r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
