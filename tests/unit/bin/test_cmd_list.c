/* Every command handles every option that it has according to the table, and reports any other
 * option as an internal error. So an option without a case is neither ignored nor mistaken for
 * another. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cmd.h"
#include "tests/aid/expect.h"

/* Help is printed to /dev/null. */
static void be_silent(void)
{
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
}

/* The result of parsing `--OPTION [VALUE] --help`. */
static err_code parse(const command *cmd, command_id c, const option_spec *o, const char *value)
{
    char name[64];
    char *argv[5] = {(char *)"octavo", name};
    int argc = 2;
    report r;
    err e = {0};
    snprintf(name, sizeof name, "--%s", o->name);
    if (value) {
        argv[argc++] = (char *)value;
    }
    argv[argc++] = (char *)"--help";
    report_start(&r, c, false);
    return cmd->run(argc, argv, &r, &e);
}

/* Every option accepts one of these values, or the first of its words. */
static err_code parse_some_value(const command *cmd, command_id c, const option_spec *o)
{
    static const char *const values[] = {"1", "*", "1%", "1M", "./path"};
    char word[64];
    if (!o->value) {
        return parse(cmd, c, o, NULL);
    }
    snprintf(word, sizeof word, "%.*s", o->words ? (int)strcspn(o->words, "|") : 0,
             o->words ? o->words : "");
    err_code code = o->words ? parse(cmd, c, o, word) : ERR_USAGE;
    for (int i = 0; code == ERR_USAGE && !o->words && i < COUNT(values); i++) {
        code = parse(cmd, c, o, values[i]);
    }
    return code;
}

/* The first option that the command has but does not handle; NULL: it handles all. */
static const char *find_forgotten(const command *cmd, command_id c)
{
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (option_is_of(o, c) && parse_some_value(cmd, c, o) != OK) {
            return o->name;
        }
    }
    return NULL;
}

static bool has(command_id c, option_id id)
{
    bool found = false;
    for (size_t i = 0; i < option_count; i++) {
        found = found || (option_table[i].id == id && option_is_of(&option_table[i], c));
    }
    return found;
}

/* Threads, memory and output are one group: a command that has --threads handles all of them. */
static bool may_have(command_id c, option_id id)
{
    const bool common = id == OPTION_THREADS || id == OPTION_MEMORY || id == OPTION_PROGRESS ||
                        id == OPTION_QUIET || id == OPTION_VERBOSE;
    return has(c, id) || (common && has(c, OPTION_THREADS));
}

/* The first option that the command handles but does not have; NULL: there is none. A command that
 * accepts anything would hide options that have no case. */
static const char *find_ignored(const command *cmd, command_id c)
{
    const char *ignored = NULL;
    for (size_t i = 0; i < option_count && !ignored; i++) {
        const option_spec *const o = &option_table[i];
        void *const request = calloc(1, cmd->request_bytes + 1);
        err e = {0};
        ck_assert_ptr_nonnull(request);
        if (!may_have(c, o->id) && cmd->on_option(request, o, "1", &e) != ERR_INTERNAL) {
            ignored = o->name;
        }
        free(request);
    }
    return ignored;
}

START_TEST(every_option_is_handled)
{
    const command_id c = (command_id)_i;
    ck_assert_ptr_nonnull(cmd_list[c]);
    const char *const forgotten = find_forgotten(cmd_list[c], c);
    ck_assert_msg(!forgotten, "%s: --%s is not handled", command_table[c].name, forgotten);
}
END_TEST

START_TEST(no_other_option_is_handled)
{
    const command_id c = (command_id)_i;
    const char *const ignored = find_ignored(cmd_list[c], c);
    ck_assert_msg(!ignored, "%s would ignore --%s", command_table[c].name, ignored);
}
END_TEST

/* Accepts every option. */
static err_code ignore(void *ctx, const option_spec *o, const char *value, err *e)
{
    (void)ctx;
    (void)o;
    (void)value;
    (void)e;
    return OK;
}

/* Handles all options of diff except --full. */
static err_code forget(void *ctx, const option_spec *o, const char *value, err *e)
{
    return o->id == OPTION_FULL ? option_unhandled(o, e) : ignore(ctx, o, value, e);
}

static err_code run_forgetful(int argc, char **argv, report *r, err *e)
{
    command_line line;
    (void)r;
    return options_parse(COMMAND_DIFF, argc, argv, forget, NULL, &line, e);
}

START_TEST(mistakes_are_found)
{
    static const command careless = {.run = run_forgetful, .on_option = ignore};
    ck_assert_str_eq(find_forgotten(&careless, COMMAND_DIFF), "full");
    ck_assert_ptr_nonnull(find_ignored(&careless, COMMAND_DIFF));
}
END_TEST

START_TEST(an_option_without_effect_is_an_internal_error)
{
    err e = {0};
    ck_assert_int_eq(option_unhandled(&option_table[0], &e), ERR_INTERNAL);
    ck_assert_str_eq(e.text, "option --output has no effect here");
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("cmd_list");
    tcase_add_checked_fixture(tc, be_silent, NULL);
    tcase_add_loop_test(tc, every_option_is_handled, 0, COMMAND_COUNT);
    tcase_add_loop_test(tc, no_other_option_is_handled, 0, COMMAND_COUNT);
    tcase_add_test(tc, mistakes_are_found);
    tcase_add_test(tc, an_option_without_effect_is_an_internal_error);
    return run_tests("cmd_list", tc);
}
