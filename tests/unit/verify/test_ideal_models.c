/* Whole models are their own ideal, in every dialect and form of scales: the built-in checkpoint, or
 * another one:
 *
 *     OCTAVO_IDEAL=CHECKPOINT make test-unit UNIT=ideal_models */
#include "tests/aid/conversion.h"
#include "tests/aid/ideal_case.h"

enum { FORMS = 2, COMBINATIONS = (DIALECT_COUNT - DIALECT_IEEE) * FORMS };

START_TEST(a_model)
{
    const char *const named = getenv("OCTAVO_IDEAL");
    char path[512];
    snprintf(path, sizeof path, "%s/ring-micro-linear", getenv("TESTDATA"));
    conversion r = conversion_with(2, PLENTY * MIB);
    r.options.source = named ? named : path;
    r.recipe.dialect = (pack_dialect)(DIALECT_IEEE + _i / FORMS);
    r.recipe.scales = (scale_format)(_i % FORMS);
    r.recipe.requantize = true;
    if (dialect_lacks(r.recipe.dialect, DTYPE_BF16, r.recipe.scales)) {
        return;
    }
    conversion_succeeds(&r);
    const ideal_case c = ideal_case_open(r.options.source, scratch("out/p"), 2);
    ideal_case_expect_own(&c);
    ideal_case_close(&c);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ideal_models");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, conversion_setup, scratch_remove);
    tcase_add_loop_test(tc, a_model, 0, COMBINATIONS);
    return run_tests("ideal_models", tc);
}
