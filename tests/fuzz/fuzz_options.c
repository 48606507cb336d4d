/* Command lines: the first byte chooses the command, the rest are arguments, separated by NULs. Every
 * command parses them, with `--help` at the end so that it does nothing; and once more they are
 * parsed with a command that accepts every value. */
#include <stdio.h>

#include "bin/cmd.h"
#include "tests/fuzz/fuzz_aid.h"

enum { MOST_ARGUMENTS = 12, ROOM = MOST_ARGUMENTS + 4 };

typedef struct arguments {
    char *own[ROOM]; /* getopt changes the order of argv */
    char *argv[ROOM];
    int count;
} arguments;

/* Help goes to /dev/null. */
static void be_silent(void)
{
    static bool silent = false;
    silent = silent || freopen("/dev/null", "w", stdout);
    require(silent);
}

static err_code note_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    (void)e;
    require(option_is_of(o, *(command_id *)ctx));
    require(!o->value == !value);
    return OK;
}

/* An operand is an argument that was given. */
static bool is_given(const arguments *a, const char *operand)
{
    bool found = false;
    for (int i = 1; i < a->count; i++) {
        found = found || a->own[i] == operand;
    }
    return found;
}

static err_code parse_any(command_id c, arguments *a)
{
    command_line line;
    err e = {0};
    memcpy(a->argv, a->own, sizeof a->argv);
    const err_code code = options_parse(c, a->count, a->argv, note_option, &c, &line, &e);
    check_code(code, &e);
    require(code == OK || code == ERR_USAGE || code == ERR_IO);
    for (size_t i = 0; code == OK && i < line.operand_count; i++) {
        require(is_given(a, line.operands[i]));
    }
    require(code != OK || line.action != ACTION_RUN || line.operand_count <= (size_t)a->count);
    return code;
}

/* What the command accepts is a subset of what the table accepts. Twice --help: the first may be
 * taken for the value of an option. */
static void run_command(command_id c, arguments *a)
{
    report r;
    err e = {0};
    a->own[a->count++] = (char *)"--help";
    a->own[a->count++] = (char *)"--help";
    const err_code any = parse_any(c, a);
    memcpy(a->argv, a->own, sizeof a->argv);
    report_start(&r, c, false);
    const err_code code = cmd_list[c]->run(a->count, a->argv, &r, &e);
    check_code(code, &e);
    require(code == OK || code == ERR_USAGE || code == ERR_IO);
    require(code != OK || any == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    arguments a = {.own = {(char *)"octavo"}, .count = 1};
    bool ends = false;
    be_silent();
    const command_id c = (command_id)(take_byte(&in) % COMMAND_COUNT);
    while (in.next < in.end && a.count <= MOST_ARGUMENTS) {
        size_t bytes = 0;
        char *const text = take_text(&in, &bytes);
        ends = ends || strcmp(text, "--") == 0; /* --help after it would be an operand */
        a.own[a.count++] = text;
    }
    const int given = a.count;
    parse_any(c, &a);
    if (!ends) {
        run_command(c, &a);
    }
    for (int i = 1; i < given; i++) {
        free(a.own[i]);
    }
    return 0;
}
