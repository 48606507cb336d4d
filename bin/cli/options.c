#include "bin/cli/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cli/value.h"
#include "format/base/expansion.h"

enum {
    LONG_FIRST = 256,    /* getopt_long's value for row 0 of the table; letters are smaller */
    WORD_MAX = 64,       /* longer words are not compared */
    COMMANDS_BYTES = 192 /* enough for the names of all commands */
};

command_id command_find(const char *name)
{
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        if (strcmp(command_table[c].name, name) == 0) {
            return (command_id)c;
        }
    }
    return COMMAND_NONE;
}

const operand_spec *command_operand(command_id c, size_t i)
{
    if (c == COMMAND_NONE) {
        return NULL;
    }
    const operand_spec *const all = command_table[c].operands;
    size_t at = 0;
    while (at < OPERANDS_MAX && all[at].name && at < i && !all[at].repeatable) {
        at++;
    }
    return at < OPERANDS_MAX && all[at].name && (at == i || all[at].repeatable) ? &all[at] : NULL;
}

static size_t least_of(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Damerau-Levenshtein distance: how many letters must be inserted, removed, replaced or swapped
 * with their neighbor to turn one word into the other. Computed row by row; only the three rows
 * that a swap needs are kept. */
static size_t edit_distance(const char *a, const char *b)
{
    const size_t columns = strlen(b);
    if (strlen(a) > WORD_MAX || columns > WORD_MAX) {
        return SIZE_MAX;
    }
    size_t rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= columns; j++) {
        rows[0][j] = j;
    }
    size_t i = 0;
    for (; a[i]; i++) {
        const size_t *const above = rows[i % 3];
        size_t *const row = rows[(i + 1) % 3];
        row[0] = i + 1;
        for (size_t j = 0; j < columns; j++) {
            row[j + 1] = least_of(above[j] + (a[i] != b[j]), above[j + 1] + 1, row[j] + 1);
            if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j]) {
                const size_t swapped = rows[(i + 2) % 3][j - 1] + 1;
                row[j + 1] = swapped < row[j + 1] ? swapped : row[j + 1];
            }
        }
    }
    return rows[i % 3][columns];
}

void nearest_offer(nearest *n, const char *candidate)
{
    const size_t distance = edit_distance(n->name, candidate);
    const size_t length = strlen(n->name);
    const size_t limit = length < 4 ? 1 : length < 9 ? 2 : 3;
    if (distance <= limit && (!n->best || distance < n->distance)) {
        n->best = candidate;
        n->distance = distance;
    }
}

err_code command_unknown(const char *name, err *e)
{
    nearest n = {.name = name};
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        nearest_offer(&n, command_table[c].name);
    }
    err_set(e, ERR_USAGE, "unknown command '%s'", name);
    if (n.best) {
        err_hint(e, "did you mean '%s'?", n.best);
    } else {
        err_hint(e, "try 'octavo help' for a list of commands");
    }
    return ERR_USAGE;
}

/* The commands that have an option with this long name or, if `name` is NULL, with this letter:
 * "convert, verify"; empty if there are none. */
static void commands_with(const char *name, int letter, char to[COMMANDS_BYTES])
{
    size_t used = 0;
    to[0] = '\0';
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        for (size_t i = 0; i < option_count && used < COMMANDS_BYTES; i++) {
            const option_spec *const o = &option_table[i];
            if (option_is_of(o, (command_id)c) &&
                (name ? strcmp(o->name, name) == 0 : o->letter == letter)) {
                used += (size_t)snprintf(to + used, COMMANDS_BYTES - used, "%s%s", used ? ", " : "",
                                         command_table[c].name);
            }
        }
    }
}

/* Add a hint for an option that command `c` does not have. `text` is the option with its dashes,
 * `owners` the commands that have it, `similar` a similar option of this command or NULL. */
static void hint_option(command_id c, const char *text, const char *owners, const char *similar,
                        err *e)
{
    if (c == COMMAND_NONE) {
        err_hint(e, "options go after the command: octavo COMMAND [OPTION]...");
    } else if (owners[0]) {
        err_hint(e, "%s belongs to: octavo %s", text, owners);
    } else if (similar) {
        err_hint(e, "did you mean '--%s'?", similar);
    } else {
        err_hint(e, "try 'octavo %s --help'", command_table[c].name);
    }
}

/* `text` is a long option with its dashes, perhaps followed by '=' and a value. */
static err_code unknown_long(command_id c, const char *text, err *e)
{
    char option[WORD_MAX + 3] = "";
    char commands[COMMANDS_BYTES];
    snprintf(option, sizeof option, "%.*s", (int)strcspn(text, "="), text);
    const char *const name = option + 2;
    nearest n = {.name = name};
    for (size_t i = 0; i < option_count; i++) {
        if (option_is_of(&option_table[i], c)) {
            nearest_offer(&n, option_table[i].name);
        }
    }
    commands_with(name, 0, commands);
    err_set(e, ERR_USAGE, "unrecognized option '%.*s'", (int)strcspn(text, "="), text);
    hint_option(c, option, commands, n.best, e);
    return ERR_USAGE;
}

static err_code unknown_letter(command_id c, int letter, err *e)
{
    char commands[COMMANDS_BYTES];
    commands_with(NULL, letter, commands);
    err_set(e, ERR_USAGE, "invalid option -- '%c'", letter);
    hint_option(c, (char[]){'-', (char)letter, '\0'}, commands, NULL, e);
    return ERR_USAGE;
}

/* The options of one command in the form that getopt_long takes. No two options of a command have
 * the same id, so the arrays hold all of them. */
typedef struct getopt_form {
    char letters[2 * OPTION_ID_COUNT + 3];
    struct option longs[OPTION_ID_COUNT + 1];
} getopt_form;

static void form_build(command_id c, getopt_form *f)
{
    char *letter = f->letters;
    struct option *row = f->longs;
    *letter++ =
        '-'; /* operands are returned in their place, as value 1, even with POSIXLY_CORRECT */
    *letter++ = ':'; /* ':' for a missing value, '?' for an unknown option; no messages */
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (!option_is_of(o, c)) {
            continue;
        }
        assert(row < f->longs + OPTION_ID_COUNT);
        if (o->letter) {
            *letter++ = o->letter;
        }
        if (o->letter && o->value) {
            *letter++ = ':';
        }
        *row++ = (struct option){o->name, o->value ? required_argument : no_argument, NULL,
                                 LONG_FIRST + (int)i};
    }
    *letter = '\0';
    *row = (struct option){0};
}

/* The option that getopt_long returned as `value`; NULL for '?', ':' and operands. */
static const option_spec *option_of_value(command_id c, int value)
{
    if (value >= LONG_FIRST) {
        return &option_table[value - LONG_FIRST];
    }
    for (size_t i = 0; value > 0 && i < option_count; i++) {
        if (option_table[i].letter == value && option_is_of(&option_table[i], c)) {
            return &option_table[i];
        }
    }
    return NULL;
}

/* getopt_long also accepts unambiguous prefixes of long names. `text` is the argument as given. */
static bool is_abbreviated(const option_spec *o, const char *text)
{
    return strncmp(text, "--", 2) == 0 && strcspn(text + 2, "=") != strlen(o->name);
}

/* Report what is wrong with the argument `text`, for which getopt_long returned `value`. */
static err_code refuse(command_id c, int value, const char *text, err *e)
{
    const bool is_long = strncmp(text, "--", 2) == 0;
    const option_spec *const o = option_of_value(c, optopt);
    if (is_long && (!o || is_abbreviated(o, text))) {
        return unknown_long(c, text, e);
    }
    if (!o) {
        return unknown_letter(c, optopt, e);
    }
    if (value == ':') {
        return err_set(e, ERR_USAGE, "option '%s%s' requires an argument: %s", is_long ? "--" : "-",
                       is_long ? o->name : (char[]){o->letter, '\0'}, o->value);
    }
    return err_set(e, ERR_USAGE, "option '--%s' doesn't allow an argument", o->name);
}

/* Refuse - where it is not a stream: hardly anybody means a file of that name, and it would be
 * created silently. Refuse an empty name, which usually comes from an unset variable: no file has
 * it, and with a slash appended it would be the root directory. `what` is an operand, or an option
 * with its dashes. */
static err_code check_path(const char *what, value_kind kind, bool stream, const char *value,
                           err *e)
{
    if (kind == VALUE_PATH && value[0] == '\0') {
        return err_set(e, ERR_IO, "%s: empty file name", what);
    }
    if (kind != VALUE_PATH || stream || strcmp(value, "-") != 0) {
        return OK;
    }
    err_set(e, ERR_USAGE, "%s: - is not allowed here", what);
    err_hint(e, "for a file of that name use ./-%s",
             strstr(what, "FILE") ? "; 'octavo verify -' reads standard input" : "");
    return ERR_USAGE;
}

/* Store `text` at the beginning of argv: first the operands, then the values of the repeatable path, of
 * which it will be number `at`, counted over both. At least as many arguments have been parsed as are
 * stored, so there is room for it. */
static void put_argument(char **argv, const command_line *out, size_t at, char *text)
{
    const size_t stored = out->operand_count + out->repeated_count;
    char **const place = argv + 1 + at;
    memmove(place + 1, place, (stored - at) * sizeof *place);
    *place = text;
}

static err_code add_operand(command_id c, char *text, char **argv, command_line *out, err *e)
{
    const operand_spec *const o = command_operand(c, out->operand_count);
    if (!o) {
        return err_set(e, ERR_USAGE, "extra operand '%s'", text);
    }
    TRY(check_path(o->name, o->kind, o->stream, text, e));
    put_argument(argv, out, out->operand_count, text);
    out->operand_count++;
    return OK;
}

err_code option_unhandled(const option_spec *o, err *e)
{
    return err_set(e, ERR_INTERNAL, "option --%s has no effect here", o->name);
}

static err_code apply_option(const option_spec *o, option_fn on_option, void *ctx, bool *given,
                             char **argv, command_line *out, err *e)
{
    if (o->id == OPTION_HELP || o->id == OPTION_VERSION) {
        out->action = o->id == OPTION_HELP ? ACTION_HELP : ACTION_VERSION;
        return OK;
    }
    if (o->id == OPTION_JSON) {
        return OK;
    }
    if (o->id == OPTION_MAX_EXPAND) {
        uint64_t bytes = 0;
        TRY(value_size("--max-expand", optarg, &bytes, e));
        expansion_raise(bytes);
        return OK;
    }
    if (o->value) {
        char what[WORD_MAX];
        snprintf(what, sizeof what, "--%s", o->name);
        TRY(check_path(what, o->kind, o->stream, optarg, e));
    }
    if (o->kind == VALUE_PATH) {
        out->paths[o->id] = optarg;
    }
    if (o->kind == VALUE_PATH && o->repeatable) {
        put_argument(argv, out, out->operand_count + out->repeated_count, optarg);
        out->repeated_count++;
    }
    given[o->id] = true;
    return on_option(ctx, o, o->value ? optarg : NULL, e);
}

static err_code check_complete(command_id c, const bool *given, const command_line *line, err *e)
{
    if (c == COMMAND_NONE) {
        return OK;
    }
    const command_spec *const spec = &command_table[c];
    const operand_spec *const next = command_operand(c, line->operand_count);
    if (next && next->required) {
        err_set(e, ERR_USAGE, "missing operand: %s", next->name);
    }
    const bool dry = given[OPTION_DRY_RUN];
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        if (option_is_of(o, c) && o->required && !(o->unless_dry && dry) && !given[o->id]) {
            const char letter[] = {o->letter, '\0'};
            err_set(e, ERR_USAGE, "missing option: -%s%s %s", o->letter ? letter : "-",
                    o->letter ? "" : o->name, o->value);
        }
    }
    if (e->code != OK) {
        err_hint(e, "try 'octavo %s --help'", spec->name);
    }
    return e->code;
}

err_code options_parse(command_id c, int argc, char **argv, option_fn on_option, void *ctx,
                       command_line *out, err *e)
{
    getopt_form form = {0};
    bool given[OPTION_ID_COUNT] = {false};
    form_build(c, &form);
    *out = (command_line){.action = ACTION_RUN, .operands = (const char *const *)argv + 1};
    optind = 0; /* resets the state that getopt_long keeps */
    for (int at = 1; out->action == ACTION_RUN; at = optind) {
        const int value = getopt_long(argc, argv, form.letters, form.longs, NULL);
        if (value == -1) {
            break;
        }
        const option_spec *const o = option_of_value(c, value);
        if (value == 1) {
            TRY(add_operand(c, optarg, argv, out, e));
        } else if (!o || is_abbreviated(o, argv[at])) {
            return refuse(c, value, argv[at], e);
        } else {
            TRY(apply_option(o, on_option, ctx, given, argv, out, e));
        }
    }
    if (out->action != ACTION_RUN) {
        return OK;
    }
    for (; optind < argc; optind++) { /* operands after "--" */
        TRY(add_operand(c, argv[optind], argv, out, e));
    }
    out->repeated = out->operands + out->operand_count;
    return check_complete(c, given, out, e);
}

bool options_ask_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            return true;
        }
    }
    return false;
}
