/* Every allocation of a conversion fails in turn: the result is the usual file, or ERR_MEMORY and
 * none. */
#include "tests/aid/scarce.h"

#include <fcntl.h>

#include "format/base/num.h"
#include "tests/aid/small_conversion.h"

/* Hundreds of times a busy disk would take minutes; what is durable is not asked here. */
int fsync(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

/* Without Check, which needs memory. */
static err_code run_job(convert_job *job, const convert_options *o, const monitor *m, err *e)
{
    engine *g = NULL;
    convert_report report;
    err_code code = OK;
    TRY_OUT(engine_cpu_open(o->threads, job->slots.count, job->slots.in_bytes, job->slots.out_bytes,
                            &g, e));
    TRY_OUT(convert_run(job, g, m, &report, e));
out:
    engine_close(g);
    return code;
}

static err_code convert_once(void *ctx, err *e)
{
    const convert_options *const o = ctx;
    const monitor m = {0};
    convert_job job = {0};
    err_code code = convert_prepare(o, &m, &job, e);
    if (code == OK) {
        code = run_job(&job, o, &m, e);
        convert_close(&job);
    }
    const long left = atomic_exchange(&scarce_left, 0);
    ck_assert_int_eq(conversion_entries("out"), code == OK);
    ck_assert(code != OK || remove(scratch("out/p")) == 0);
    atomic_store(&scarce_left, left);
    return code;
}

START_TEST(nothing_is_left)
{
    char source[512], target[512];
    const recipe none = {0};
    convert_options o = conversion_with(1, PLENTY * MIB).options;
    snprintf(source, sizeof source, "%s", scratch("in"));
    snprintf(target, sizeof target, "%s", scratch("out/p"));
    o.source = source;
    o.output = target;
    o.recipe = &none;
    o.source_sha256 = _i != 0;
    scarce_leave_jansson();
    expect_scarce(convert_once, &o);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("scarce_convert");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, nothing_is_left, 0, 2);
    return run_tests("scarce_convert", tc);
}
