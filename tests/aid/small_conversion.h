/* The fixture of tests that convert one small checkpoint.
 *
 *     tcase_add_checked_fixture(tc, setup, teardown);
 *     ... conversions of `made` (tests/aid/conversion.h) ...
 */
#ifndef SMALL_CONVERSION_H
#define SMALL_CONVERSION_H

#include "tests/aid/conversion.h"

static made_checkpoint made;

static void setup(void)
{
    conversion_setup();
    conversion_make_small(&made);
}

static void teardown(void)
{
    made_free(&made);
    scratch_remove();
}

#endif
