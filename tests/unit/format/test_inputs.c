/* What an output must not replace: an input under any of its names. */
#include "format/checkpoint/checkpoint_inputs.h"
#include "format/output/inputs.h"
#include "tests/aid/made_dir.h"
#include "tests/aid/expect.h"

/* ---- what is an input? ----------------------------------------- */

static struct stat stat_of(const char *name)
{
    struct stat st;
    ck_assert_int_eq(stat(scratch(name), &st), 0);
    return st;
}

static void make_link(const char *to, const char *name, bool hard)
{
    ck_assert_int_eq((hard ? link : symlink)(scratch(to), scratch(name)), 0);
}

static err_code is_file_a(const void *ctx, const struct stat *st, bool *is_one, err *e)
{
    (void)ctx;
    return input_is(scratch("a"), st, is_one, e);
}

static bool is_same(const char *path, const struct stat *st)
{
    err e = {0};
    bool is_one = false;
    expect_ok(input_is(path, st, &is_one, &e), &e);
    return is_one;
}

START_TEST(files_are_known_by_their_inodes)
{
    scratch_text("a", "");
    scratch_text("b", "");
    make_link("a", "soft", false);
    make_link("a", "hard", true);
    const char *const same[] = {"a", "soft", "hard"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        const struct stat st = stat_of(same[i]);
        ck_assert(is_same(scratch("a"), &st) && is_same(scratch("soft"), &st));
        ck_assert(!is_same(scratch("b"), &st) && !is_same(scratch("missing"), &st));
        ck_assert(!is_same(scratch("b/below"), &st) && !is_same(NULL, &st));
    }
}
END_TEST

/* Nothing was read through a link that leads in a circle. (Other failures: tests/cli/fault/stat.sh.) */
START_TEST(circle_is_no_input)
{
    err e = {0};
    bool is_one = false;
    scratch_text("a", "");
    make_link("loop", "loop", false);
    const struct stat st = stat_of("a");
    expect_ok(input_is(scratch("loop"), &st, &is_one, &e), &e);
    ck_assert(!is_one);
}
END_TEST

static const struct part {
    const char *name;
    bool of_it;
} parts[] = {
    {"s1.safetensors", true}, {"s2.safetensors", true}, {INDEX, true},
    {"config.json", true},    {"tokenizer.json", true}, {"other.json", false},
};

START_TEST(parts_of_a_checkpoint)
{
    make_pair();
    scratch_text("tokenizer.json", "{}");
    scratch_text("other.json", "{}");
    checkpoint *const cp = open_good("");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const struct stat st = stat_of(parts[i].name);
        err e = {0};
        bool is_one = false;
        expect_ok(input_is_of_checkpoint(cp, &st, &is_one, &e), &e);
        ck_assert_msg(is_one == parts[i].of_it, "%s", parts[i].name);
    }
    checkpoint_close(cp);
}
END_TEST

/* ---- what does an output replace? ------------------------------ */

static const struct output_case {
    const char *name, *why; /* NULL: not an input */
} outputs[] = {
    {"a", "a: the output is one of the inputs"},
    {"soft", "soft: the output is one of the inputs"},
    {"hard", "hard: the output is one of the inputs"},
    {"new", ".new.part: an input has the name of the output's temporary file"},
    {"b", NULL},
    {"missing", NULL},
    {"none/missing", NULL},
};

START_TEST(inputs_are_spared)
{
    const struct output_case *const c = &outputs[_i];
    err e = {0};
    scratch_text("a", "");
    scratch_text("b", "");
    make_link("a", "soft", false);
    make_link("a", "hard", true);
    make_link("a", ".new.part", true);
    const err_code code = inputs_spare(scratch(c->name), is_file_a, NULL, &e);
    if (c->why) {
        expect_error(code, ERR_USAGE, &e, c->why);
    } else {
        expect_ok(code, &e);
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("inputs");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, files_are_known_by_their_inodes);
    tcase_add_test(tc, circle_is_no_input);
    tcase_add_test(tc, parts_of_a_checkpoint);
    tcase_add_loop_test(tc, inputs_are_spared, 0, sizeof outputs / sizeof outputs[0]);
    return run_tests("inputs", tc);
}
