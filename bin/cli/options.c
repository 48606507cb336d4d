#include "bin/cli/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONG_FIRST = 256, /* getopt_long's value of row 0 of the table; letters lie below */
    WORD_MAX = 64,    /* longer words are not compared */
    OWNERS_MAX = 192  /* room for the names of all commands */
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

/* How many letters must be inserted, removed, replaced or swapped with their neighbour to make one
 * word from the other: row by row of the usual table, of which three rows are kept. */
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
        err_hint(e, "'octavo help' lists the commands");
    }
    return ERR_USAGE;
}

/* The commands that have an option of this long name or, without one, of this letter: "convert,
 * verify"; empty: none has. */
static void owners_of(const char *name, int letter, char to[OWNERS_MAX])
{
    size_t used = 0;
    to[0] = '\0';
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        for (size_t i = 0; i < option_count && used < OWNERS_MAX; i++) {
            const option_spec *const o = &option_table[i];
            if (option_is_of(o, (command_id)c) &&
                (name ? strcmp(o->name, name) == 0 : o->letter == letter)) {
                used += (size_t)snprintf(to + used, OWNERS_MAX - used, "%s%s", used ? ", " : "",
                                         command_table[c].name);
            }
        }
    }
}

/* `text` is a long option with its dashes, maybe with a value behind '='. */
static err_code unknown_long(command_id c, const char *text, err *e)
{
    char name[WORD_MAX + 1] = "";
    const size_t length = strcspn(text + 2, "=");
    snprintf(name, sizeof name, "%.*s", (int)length, text + 2);
    nearest n = {.name = name};
    for (size_t i = 0; i < option_count; i++) {
        if (option_is_of(&option_table[i], c)) {
            nearest_offer(&n, option_table[i].name);
        }
    }
    err_set(e, ERR_USAGE, "unknown option '%.*s'", (int)length + 2, text);
    char owners[OWNERS_MAX];
    owners_of(name, 0, owners);
    if (c == COMMAND_NONE) {
        err_hint(e, "options come behind the command: octavo COMMAND [OPTION]...");
    } else if (owners[0]) {
        err_hint(e, "it is an option of octavo %s", owners);
    } else if (n.best) {
        err_hint(e, "did you mean '--%s'?", n.best);
    } else {
        err_hint(e, "'octavo %s --help' lists the options", command_table[c].name);
    }
    return ERR_USAGE;
}

static err_code unknown_letter(command_id c, int letter, err *e)
{
    char owners[OWNERS_MAX];
    owners_of(NULL, letter, owners);
    err_set(e, ERR_USAGE, "unknown option '-%c'", letter);
    if (c == COMMAND_NONE) {
        err_hint(e, "options come behind the command: octavo COMMAND [OPTION]...");
    } else if (owners[0]) {
        err_hint(e, "it is an option of octavo %s", owners);
    } else {
        err_hint(e, "'octavo %s --help' lists the options", command_table[c].name);
    }
    return ERR_USAGE;
}

/* What getopt_long wants to know about the options of one command, of which no two have the same
 * id: so there is room for all. */
typedef struct getopt_form {
    char letters[2 * OPTION_ID_COUNT + 3];
    struct option longs[OPTION_ID_COUNT + 1];
} getopt_form;

static void form_build(command_id c, getopt_form *f)
{
    char *letter = f->letters;
    struct option *row = f->longs;
    *letter++ = '-'; /* operands come as option 1 in their place, whatever POSIXLY_CORRECT says */
    *letter++ = ':'; /* a missing value is told apart from an unknown option; no messages */
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

/* The option that getopt_long returned as `value`; NULL for '?', ':' and the like. */
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

/* getopt_long also takes unambiguous beginnings of long names; `text` is the argument as given. */
static bool is_abbreviated(const option_spec *o, const char *text)
{
    return strncmp(text, "--", 2) == 0 && strcspn(text + 2, "=") != strlen(o->name);
}

/* What is wrong with the argument `text`, for which getopt_long returned `value`. */
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
        return err_set(e, ERR_USAGE, "option '%s%s' needs a value: %s", is_long ? "--" : "-",
                       is_long ? o->name : (char[]){o->letter, '\0'}, o->value);
    }
    return err_set(e, ERR_USAGE, "option '--%s' takes no value", o->name);
}

/* A file called - is hardly ever meant, and would be made without a word. An empty name comes of an
 * empty variable; no file has it, and with a slash behind it it would be the root. `what`: an
 * operand, or an option with its dashes. */
static err_code check_path(const char *what, value_kind kind, bool stream, const char *value,
                           err *e)
{
    if (kind == VALUE_PATH && value[0] == '\0') {
        return err_set(e, ERR_IO, "%s: an empty name, which no file has", what);
    }
    if (kind != VALUE_PATH || stream || strcmp(value, "-") != 0) {
        return OK;
    }
    err_set(e, ERR_USAGE, "%s: - makes no sense here: this cannot be a stream", what);
    err_hint(e, "a file of that name is ./-%s",
             strstr(what, "FILE") ? "; 'octavo verify -' reads standard input" : "");
    return ERR_USAGE;
}

/* As many arguments as operands have been parsed at least, so their places are free. */
static err_code take_operand(command_id c, char *text, char **argv, command_line *out, err *e)
{
    const operand_spec *const o = command_operand(c, out->operand_count);
    if (!o) {
        return err_set(e, ERR_USAGE, "unexpected operand '%s'", text);
    }
    const err_code code = check_path(o->name, o->kind, o->stream, text, e);
    if (code != OK) {
        return code;
    }
    argv[1 + out->operand_count++] = text;
    return OK;
}

err_code option_unhandled(const option_spec *o, err *e)
{
    return err_set(e, ERR_INTERNAL, "option --%s has no effect here", o->name);
}

static err_code take_option(const option_spec *o, option_fn take, void *ctx, bool *given,
                            command_line *out, err *e)
{
    if (o->id == OPTION_HELP || o->id == OPTION_VERSION) {
        out->wish = o->id == OPTION_HELP ? WISH_HELP : WISH_VERSION;
        return OK;
    }
    if (o->id == OPTION_JSON) {
        return OK;
    }
    char what[WORD_MAX];
    snprintf(what, sizeof what, "--%s", o->name);
    const err_code code = o->value ? check_path(what, o->kind, o->stream, optarg, e) : OK;
    if (code != OK) {
        return code;
    }
    given[o->id] = true;
    return take(ctx, o, o->value ? optarg : NULL, e);
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
        err_hint(e, "'octavo %s --help' explains the command", spec->name);
    }
    return e->code;
}

err_code options_parse(command_id c, int argc, char **argv, option_fn take, void *ctx,
                       command_line *out, err *e)
{
    getopt_form form = {0};
    bool given[OPTION_ID_COUNT] = {false};
    form_build(c, &form);
    *out = (command_line){.wish = WISH_RUN, .operands = (const char *const *)argv + 1};
    err_code code = OK;
    optind = 0; /* forget earlier parsing */
    for (int at = 1; code == OK && out->wish == WISH_RUN; at = optind) {
        const int value = getopt_long(argc, argv, form.letters, form.longs, NULL);
        const option_spec *const o = option_of_value(c, value);
        if (value == -1) {
            break;
        }
        if (value == 1) {
            code = take_operand(c, optarg, argv, out, e);
        } else if (!o || is_abbreviated(o, argv[at])) {
            code = refuse(c, value, argv[at], e);
        } else {
            code = take_option(o, take, ctx, given, out, e);
        }
    }
    for (; code == OK && out->wish == WISH_RUN && optind < argc; optind++) {
        code = take_operand(c, argv[optind], argv, out, e); /* those behind "--" */
    }
    if (code == OK && out->wish == WISH_RUN) {
        code = check_complete(c, given, out, e);
    }
    return code;
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
