/* The parser of the command line: which arguments it accepts, in which order, what it refuses and
 * suggests; the option table; values. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cli/options.h"
#include "bin/cli/value.h"
#include "format/base/glob.h"
#include "tests/aid/expect.h"

enum { ARGUMENTS_MAX = 16 };

static err e;
static command_line line;
static char seen[256]; /* "output=FILE quiet keep=GLOB " */

static void reset(void)
{
    e = (err){0};
    seen[0] = '\0';
}

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *failure)
{
    (void)ctx;
    (void)failure;
    const size_t used = strlen(seen);
    snprintf(seen + used, sizeof seen - used, "%s%s%s ", o->name, value ? "=" : "",
             value ? value : "");
    return OK;
}

/* Parse the words of `text`, separated by blanks; the first is argv[0]. */
static err_code parse(command_id c, const char *text)
{
    static char words[512];
    static char *argv[ARGUMENTS_MAX + 1];
    int argc = 0;
    snprintf(words, sizeof words, "%s", text);
    for (char *next = words, *word; (word = strsep(&next, " ")) && argc < ARGUMENTS_MAX;) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    seen[0] = '\0';
    return options_parse(c, argc, argv, on_option, NULL, &line, &e);
}

static const struct {
    const char *text, *seen, *operand;
} accepted[] = {
    {"convert -o out src", "output=out ", "src"},
    {"convert src -o out", "output=out ", "src"},
    {"convert --output=out src", "output=out ", "src"},
    {"convert --output out src --json", "output=out ", "src"},
    {"convert -oout src", "output=out ", "src"},
    {"convert -fqv src -o out", "force quiet verbose output=out ", "src"},
    {"convert -fo out src", "force output=out ", "src"},
    {"convert --keep a --quantize b --keep c -o o s", "keep=a quantize=b keep=c output=o ", "s"},
    {"convert --keep --json -o o s", "keep=--json output=o ", "s"},
    {"convert -o o -- -s", "output=o ", "-s"},
    {"convert -o o -- --help", "output=o ", "--help"},
    {"convert -o - ./-", "output=- ", "./-"},
    {"convert --keep= -o o s", "keep= output=o ", "s"},
};

START_TEST(accepts_valid_lines)
{
    expect_ok(parse(COMMAND_CONVERT, accepted[_i].text), &e);
    ck_assert_str_eq(seen, accepted[_i].seen);
    ck_assert_uint_eq(line.operand_count, 1);
    ck_assert_str_eq(line.operands[0], accepted[_i].operand);
    ck_assert_int_eq(line.action, ACTION_RUN);
}
END_TEST

/* All values of an option that is a path and repeatable, also between and after the operands. */
START_TEST(repeated_paths_keep_their_order)
{
    static const char *const expected[] = {"a", "-", "b", "a"};
    expect_ok(parse(COMMAND_VERIFY, "verify --text a --text=- file --text b --forward --text a"),
              &e);
    ck_assert_uint_eq(line.operand_count, 1);
    ck_assert_str_eq(line.operands[0], "file");
    ck_assert_uint_eq(line.repeated_count, COUNT(expected));
    for (int i = 0; i < COUNT(expected); i++) {
        ck_assert_str_eq(line.repeated[i], expected[i]);
    }
    ck_assert_str_eq(line.paths[OPTION_TEXT], "a");
    expect_ok(parse(COMMAND_VERIFY, "verify --text=a --text=b -- file"), &e);
    ck_assert_str_eq(line.operands[0], "file");
    ck_assert_uint_eq(line.repeated_count, 2);
    ck_assert_str_eq(line.repeated[0], "a");
    ck_assert_str_eq(line.repeated[1], "b");
    expect_ok(parse(COMMAND_VERIFY, "verify file"), &e);
    ck_assert_uint_eq(line.repeated_count, 0);
}
END_TEST

/* A command has one list of repeated paths. */
START_TEST(one_path_is_repeatable)
{
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        int count = 0;
        for (size_t i = 0; i < option_count; i++) {
            const option_spec *const o = &option_table[i];
            count += option_is_of(o, (command_id)c) && o->kind == VALUE_PATH && o->repeatable;
        }
        ck_assert_int_le(count, 1);
    }
}
END_TEST

/* Any number of operands, between options and after "--". */
START_TEST(operands_keep_their_order)
{
    static const char *const expected[] = {"file", "a", "b", "-q", "c", "d"};
    expect_ok(parse(COMMAND_UNPACK, "unpack file -o out a --threads 2 b -f -- -q c d"), &e);
    ck_assert_str_eq(seen, "output=out threads=2 force ");
    ck_assert_uint_eq(line.operand_count, COUNT(expected));
    for (int i = 0; i < COUNT(expected); i++) {
        ck_assert_str_eq(line.operands[i], expected[i]);
    }
    expect_ok(parse(COMMAND_DEVICES, "devices --json"), &e);
    ck_assert_uint_eq(line.operand_count, 0);
    ck_assert_str_eq(command_operand(COMMAND_UNPACK, 0)->name, "FILE");
    ck_assert_str_eq(command_operand(COMMAND_UNPACK, 7)->name, "NAME");
    ck_assert_ptr_null(command_operand(COMMAND_VERIFY, 1));
    ck_assert_ptr_null(command_operand(COMMAND_DEVICES, 0));
    ck_assert_ptr_null(command_operand(COMMAND_NONE, 0));
}
END_TEST

static const struct {
    command_id command;
    const char *text, *message, *hint;
} refused[] = {
    {COMMAND_CONVERT, "convert --scale f32 -o o s", "unrecognized option '--scale'",
     "did you mean '--scales'?"},
    {COMMAND_CONVERT, "convert --scale=f32 -o o s", "unrecognized option '--scale'",
     "did you mean '--scales'?"},
    {COMMAND_CONVERT, "convert --no-readback -o o s", "unrecognized option '--no-readback'",
     "did you mean '--no-read-back'?"},
    {COMMAND_CONVERT, "convert --jsno -o o s", "unrecognized option '--jsno'",
     "did you mean '--json'?"},
    {COMMAND_CONVERT, "convert --no -o o s", "unrecognized option '--no'",
     "try 'octavo convert --help'"},
    {COMMAND_CONVERT, "convert --frobnicate -o o s", "unrecognized option '--frobnicate'",
     "try 'octavo convert --help'"},
    {COMMAND_VERIFY, "verify --keep x f", "unrecognized option '--keep'",
     "--keep belongs to: octavo convert"},
    {COMMAND_VERIFY, "verify -x f", "invalid option -- 'x'", "try 'octavo verify --help'"},
    {COMMAND_VERIFY, "verify -qx f", "invalid option -- 'x'", "try 'octavo verify --help'"},
    {COMMAND_VERIFY, "verify --json=3 f", "option '--json' doesn't allow an argument", ""},
    {COMMAND_VERIFY, "verify f --against", "option '--against' requires an argument: CHECKPOINT",
     ""},
    {COMMAND_CONVERT, "convert s -o", "option '-o' requires an argument: FILE", ""},
    {COMMAND_CONVERT, "convert s --output", "option '--output' requires an argument: FILE", ""},
    {COMMAND_CONVERT, "convert -o o", "missing operand: CHECKPOINT", "try 'octavo convert --help'"},
    {COMMAND_CONVERT, "convert s", "missing option: -o FILE", "try 'octavo convert --help'"},
    {COMMAND_VERIFY, "verify a b", "extra operand 'b'", ""},
    {COMMAND_VERIFY, "verify a -- b", "extra operand 'b'", ""},
    {COMMAND_NONE, "octavo --json", "unrecognized option '--json'",
     "options go after the command: octavo COMMAND [OPTION]..."},
    {COMMAND_NONE, "octavo -q", "invalid option -- 'q'",
     "options go after the command: octavo COMMAND [OPTION]..."},
};

START_TEST(refuses_with_a_hint)
{
    const err_code code = parse(refused[_i].command, refused[_i].text);
    ck_assert_int_eq(code, ERR_USAGE);
    ck_assert_str_eq(e.text, refused[_i].message);
    ck_assert_str_eq(e.hint, refused[_i].hint);
}
END_TEST

START_TEST(help_and_version_end_the_parsing)
{
    expect_ok(parse(COMMAND_CONVERT, "convert -h"), &e);
    ck_assert_int_eq(line.action, ACTION_HELP);
    expect_ok(parse(COMMAND_CONVERT, "convert src --version --frobnicate"), &e);
    ck_assert_int_eq(line.action, ACTION_VERSION);
    expect_ok(parse(COMMAND_NONE, "octavo -V"), &e);
    ck_assert_int_eq(line.action, ACTION_VERSION);
    expect_error(parse(COMMAND_CONVERT, "convert --frobnicate -h"), ERR_USAGE, &e, "unrecognized");
}
END_TEST

/* POSIXLY_CORRECT makes getopt stop at the first operand; the command line must not depend on it.
 */
START_TEST(order_does_not_depend_on_the_environment)
{
    ck_assert_int_eq(setenv("POSIXLY_CORRECT", "1", 1), 0);
    expect_ok(parse(COMMAND_CONVERT, "convert src -o out"), &e);
    ck_assert_str_eq(seen, "output=out ");
}
END_TEST

START_TEST(json_is_seen_before_parsing)
{
    char *yes[] = {(char[]){"verify"}, (char[]){"--bad"}, (char[]){"--json"}};
    char *no[] = {(char[]){"verify"}, (char[]){"--"}, (char[]){"--json"}};
    ck_assert(options_ask_json(3, yes));
    ck_assert(!options_ask_json(3, no));
    ck_assert(!options_ask_json(2, yes));
}
END_TEST

START_TEST(commands_are_found_or_suggested)
{
    ck_assert_int_eq(command_find("verify"), COMMAND_VERIFY);
    ck_assert_int_eq(command_find("Verify"), COMMAND_NONE);
    expect_error(command_unknown("conver", &e), ERR_USAGE, &e, "unknown command 'conver'");
    (void)command_unknown("evrify", &e);
    ck_assert_str_eq(e.hint, "did you mean 'verify'?");
    e = (err){0};
    (void)command_unknown("quantize", &e);
    ck_assert_str_eq(e.hint, "try 'octavo help' for a list of commands");
}
END_TEST

static size_t distance(const char *a, const char *b)
{
    nearest n = {.name = a};
    nearest_offer(&n, b);
    return n.best ? n.distance : 99;
}

START_TEST(nearest_counts_edits)
{
    ck_assert_uint_eq(distance("scales", "scales"), 0);
    ck_assert_uint_eq(distance("scale", "scales"), 1);
    ck_assert_uint_eq(distance("sacles", "scales"), 1); /* neighbors swapped */
    ck_assert_uint_eq(distance("scxles", "scales"), 1);
    ck_assert_uint_eq(distance("cales", "scales"), 1);
    ck_assert_uint_eq(distance("thraeds", "threads"), 1);
    ck_assert_uint_eq(distance("tread", "threads"), 2);
    ck_assert_uint_eq(distance("kep", "keep"), 1);
    ck_assert_uint_eq(distance("kp", "keep"), 99); /* too far for a short word */
    ck_assert_uint_eq(distance("source-sha-265", "source-sha256"), 2);
    char longer[300];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ck_assert_uint_eq(distance(longer, longer), 99); /* not compared, and no overrun */
}
END_TEST

/* The properties that the printers and getopt rely on. */
START_TEST(table_is_consistent)
{
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        ck_assert(o->commands != 0 && o->name[0] && o->help[0]);
        ck_assert((o->kind == VALUE_NONE) == (o->value == NULL));
        ck_assert((o->kind == VALUE_WORD || o->kind == VALUE_LIST) == (o->words != NULL));
        ck_assert_msg(o->help[strlen(o->help) - 1] == '.', "--%s: no sentence", o->name);
        ck_assert(!o->required || o->value);
        for (size_t j = 0; j < i; j++) {
            const option_spec *const other = &option_table[j];
            if (o->commands & other->commands) {
                ck_assert_int_ne(o->id, other->id); /* getopt_form has one place for each id */
                ck_assert_str_ne(o->name, other->name);
                ck_assert(!o->letter || o->letter != other->letter);
            }
        }
    }
}
END_TEST

/* True if the text contains the word, and not only as a part of a longer word. */
static bool names(const char *text, const char *word, size_t length)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    for (const char *at = text; *at; at++) {
        const bool starts = at == text || !strchr(letters, at[-1]);
        if (starts && strncmp(at, word, length) == 0 &&
            (at[length] == '\0' || !strchr(letters, at[length]))) {
            return true;
        }
    }
    return false;
}

/* How many of its words an option has, and how many of them its help or the name of its value
 * names. */
static size_t count_named(const option_spec *o, size_t *count)
{
    size_t named = 0;
    *count = 0;
    for (const char *word = o->words; word; (*count)++) {
        const size_t length = strcspn(word, "|");
        named += names(o->help, word, length) || names(o->value, word, length);
        word = word[length] ? word + length + 1 : NULL;
    }
    return named;
}

/* Words come from lists, but help texts do not: the help of a new word must not be forgotten. */
START_TEST(help_names_all_words_or_none)
{
    static const option_spec forgetful = {.words = "a|bc|abc", .value = "WORD", .help = "a, abc."};
    size_t count = 0;
    for (size_t i = 0; i < option_count; i++) {
        const size_t named = count_named(&option_table[i], &count);
        ck_assert_msg(named == 0 || named == count, "--%s: %zu of %zu words", option_table[i].name,
                      named, count);
    }
    ck_assert_uint_eq(count_named(&forgetful, &count), 2);
    ck_assert_uint_eq(count, 3);
}
END_TEST

static const struct {
    const char *text;
    uint64_t bytes; /* 0: refused */
} sizes[] = {
    {"1", 1},
    {"4096", 4096},
    {"512M", (uint64_t)512 << 20},
    {"512m", (uint64_t)512 << 20},
    {"512MiB", (uint64_t)512 << 20},
    {"64KiB", 65536},
    {"64kib", 65536},
    {"2G", (uint64_t)2 << 30},
    {"3T", (uint64_t)3 << 40},
    {"7B", 7},
    {"16777215T", (uint64_t)16777215 << 40},
    {"16777216T", 0},
    {"18446744073709551615", UINT64_MAX},
    {"18446744073709551616", 0},
    {"99999999999999999999999", 0},
    {"0", 0},
    {"0M", 0},
    {"", 0},
    {"M", 0},
    {"5MB", 0},
    {"5KB", 0},
    {"5 M", 0},
    {" 5M", 0},
    {"5MiBs", 0},
    {"5iB", 0},
    {"1.5G", 0},
    {"-1", 0},
    {"+1", 0},
    {"0x10", 0},
    {"5P", 0},
};

START_TEST(sizes_are_powers_of_1024)
{
    uint64_t bytes = 0;
    const err_code code = value_size("--memory", sizes[_i].text, &bytes, &e);
    if (sizes[_i].bytes) {
        expect_ok(code, &e);
        ck_assert_uint_eq(bytes, sizes[_i].bytes);
    } else {
        expect_error(code, ERR_USAGE, &e, "--memory: expected a size, found '");
    }
}
END_TEST

START_TEST(counts_have_limits)
{
    unsigned n = 0;
    expect_ok(value_count("--threads", "1", 1, 16, &n, &e), &e);
    ck_assert_uint_eq(n, 1);
    expect_ok(value_count("--threads", "16", 1, 16, &n, &e), &e);
    ck_assert_uint_eq(n, 16);
    const char *const bad[] = {"0", "17", "", "2x", "-1", "4294967297", "1e1"};
    for (int i = 0; i < COUNT(bad); i++) {
        expect_error(value_count("--threads", bad[i], 1, 16, &n, &e), ERR_USAGE, &e,
                     "--threads: expected a number from 1 to 16");
    }
}
END_TEST

static const struct {
    const char *text;
    double share; /* < 0: refused */
} shares[] = {
    {"off", 0},    {"0%", 0},      {"0.2%", 0.002}, {"1%", 0.01}, {"12.50%", 0.125}, {"100%", 1},
    {"100.0%", 1}, {"100.1%", -1}, {"101%", -1},    {"1", -1},    {"0.2", -1},       {"%", -1},
    {"", -1},      {".5%", -1},    {"5.%", -1},     {"-1%", -1},  {"+1%", -1},       {"1e1%", -1},
    {"0x1%", -1},  {"nan%", -1},   {"1,5%", -1},    {"1%%", -1},  {" 1%", -1},       {"1 %", -1},
    {"OFF", -1},   {"inf%", -1},   {"1.2.3%", -1},  {"on", -1},
};

START_TEST(shares_are_percentages)
{
    double share = 9;
    const err_code code = value_share("--check-device", shares[_i].text, &share, &e);
    if (shares[_i].share >= 0) {
        expect_ok(code, &e);
        ck_assert(share == shares[_i].share);
    } else {
        expect_error(code, ERR_USAGE, &e, "--check-device: expected off or a percentage");
        ck_assert(share == 9);
    }
}
END_TEST

START_TEST(words_and_lists)
{
    unsigned n = 9;
    expect_ok(value_word("--scales", "ue8m0", "f32|ue8m0", &n, &e), &e);
    ck_assert_uint_eq(n, 1);
    expect_error(value_word("--scales", "f3", "f32|ue8m0", &n, &e), ERR_USAGE, &e,
                 "--scales: expected f32|ue8m0, found 'f3'");
    expect_error(value_word("--scales", "f32|ue8m0", "f32|ue8m0", &n, &e), ERR_USAGE, &e, "found");
    expect_ok(value_words("--only", "c,a", "a|b|c", &n, &e), &e);
    ck_assert_uint_eq(n, 5);
    expect_error(value_words("--only", "a,,b", "a|b|c", &n, &e), ERR_USAGE, &e, "found ''");
    expect_error(value_words("--only", "a,d", "a|b|c", &n, &e), ERR_USAGE, &e, "found 'd'");
    expect_ok(value_glob("--keep", "*.x[0-9]", &e), &e);
    expect_error(value_glob("--keep", "[a", &e), ERR_USAGE, &e, "--keep: invalid glob '[a'");
    expect_error(value_glob("--keep", "", &e), ERR_USAGE, &e, "--keep");
    char longest[GLOB_MAX_BYTES + 2];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    expect_error(value_glob("--keep", longest, &e), ERR_USAGE, &e,
                 "1025 bytes, at most 1024 are allowed");
    expect_ok(value_glob("--keep", longest + 1, &e), &e);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("options");
    tcase_add_checked_fixture(tc, reset, NULL);
    tcase_add_loop_test(tc, accepts_valid_lines, 0, COUNT(accepted));
    tcase_add_test(tc, operands_keep_their_order);
    tcase_add_test(tc, repeated_paths_keep_their_order);
    tcase_add_test(tc, one_path_is_repeatable);
    tcase_add_loop_test(tc, refuses_with_a_hint, 0, COUNT(refused));
    tcase_add_test(tc, help_and_version_end_the_parsing);
    tcase_add_test(tc, order_does_not_depend_on_the_environment);
    tcase_add_test(tc, json_is_seen_before_parsing);
    tcase_add_test(tc, commands_are_found_or_suggested);
    tcase_add_test(tc, nearest_counts_edits);
    tcase_add_test(tc, table_is_consistent);
    tcase_add_test(tc, help_names_all_words_or_none);
    tcase_add_loop_test(tc, sizes_are_powers_of_1024, 0, COUNT(sizes));
    tcase_add_test(tc, counts_have_limits);
    tcase_add_loop_test(tc, shares_are_percentages, 0, COUNT(shares));
    tcase_add_test(tc, words_and_lists);
    return run_tests("options", tc);
}
