/* The commands and options of octavo, in one table (option_table.c).
 *
 * The parser, --help, the manual pages, the shell completions and the hints for misspelled words
 * all read it, so they cannot disagree.
 *
 *     static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
 *     { switch (o->id) { case OPTION_QUICK: ... default: return option_unhandled(o, e); } }
 *
 *     command_line line;
 *     options_parse(COMMAND_VERIFY, argc, argv, on_option, &request, &line, e);
 *     if (line.action == ACTION_RUN) ... line.operands[0], line.operand_count ...
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

typedef enum command_id {
    COMMAND_CONVERT,
    COMMAND_VERIFY,
    COMMAND_INSPECT,
    COMMAND_UNPACK,
    COMMAND_DIFF,
    COMMAND_EXPORT,
    COMMAND_TOKENIZE,
    COMMAND_DEVICES,
    COMMAND_BENCH,
    COMMAND_HELP,
    COMMAND_COUNT,
    COMMAND_NONE = COMMAND_COUNT, /* octavo without a command */
} command_id;

typedef enum option_id {
    OPTION_OUTPUT,
    OPTION_SCALES,
    OPTION_DIALECT,
    OPTION_KEEP,
    OPTION_QUANTIZE,
    OPTION_RECIPE,
    OPTION_EMBED,
    OPTION_NO_EMBED,
    OPTION_DIGEST,
    OPTION_SOURCE_SHA256,
    OPTION_NO_READ_BACK,
    OPTION_ALLOW_NONE,
    OPTION_ALLOW_UNLOADABLE,
    OPTION_REQUANTIZE,
    OPTION_DRY_RUN,
    OPTION_FORCE,
    OPTION_AGAINST,
    OPTION_QUICK,
    OPTION_ONLY,
    OPTION_TENSOR,
    OPTION_FORWARD,
    OPTION_TEXT,
    OPTION_TEXT_FIELD,
    OPTION_TOKENS,
    OPTION_LENGTH,
    OPTION_SEQUENCES,
    OPTION_ACTIVATIONS,
    OPTION_SLOPE,
    OPTION_MODE,
    OPTION_LIMITS,
    OPTION_NO_IDEAL,
    OPTION_VERSUS,
    OPTION_DUMP,
    OPTION_REFERENCE,
    OPTION_PRINT_RECIPE,
    OPTION_DEQUANTIZE,
    OPTION_FULL,
    OPTION_FOR,
    OPTION_TP,
    OPTION_EP,
    OPTION_SHARD_SIZE,
    OPTION_DEVICE,
    OPTION_GPU_MEMORY,
    OPTION_CHECK_DEVICE,
    OPTION_SIZE,
    OPTION_CHECKPOINT,
    OPTION_THREADS,
    OPTION_MEMORY,
    OPTION_MAX_EXPAND,
    OPTION_PROGRESS,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_VERBOSE,
    OPTION_MAN,
    OPTION_COMPLETION,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_ID_COUNT
} option_id;

/* What kind of value an option or an operand has; completions offer values accordingly. */
typedef enum value_kind {
    VALUE_NONE,
    VALUE_PATH,  /* a file or a directory */
    VALUE_WORD,  /* one of `words`; as an operand, a command */
    VALUE_LIST,  /* some of `words`, separated by commas */
    VALUE_OTHER, /* a number, a size, a glob */
} value_kind;

typedef struct option_spec {
    option_id id;
    unsigned commands; /* a bit for each command_id, COMMAND_NONE included */
    char letter;       /* short form, 0: none */
    const char *name;  /* long form, without the dashes */
    value_kind kind;
    const char *value; /* the name of the value in help; NULL: none */
    const char *words; /* VALUE_WORD, VALUE_LIST: "one|two|three" */
    bool required, repeatable;
    bool unless_dry;  /* required except with --dry-run */
    bool stream;      /* VALUE_PATH: - is standard input or output; if false, - is refused */
    const char *help; /* sentences */
} option_spec;

typedef struct operand_spec {
    const char *name; /* its name in help; NULL: there are no more operands */
    value_kind kind;
    bool required;
    bool repeatable; /* any number of these; only the last operand */
    bool stream;     /* as for an option */
} operand_spec;

enum { OPERANDS_MAX = 2 };

typedef struct command_spec {
    const char *name;
    operand_spec operands[OPERANDS_MAX]; /* in order; required ones come first */
    const char *summary;                 /* a phrase for lists of commands */
} command_spec;

extern const command_spec command_table[COMMAND_COUNT];
extern const option_spec option_table[];
extern const size_t option_count;

static inline bool option_is_of(const option_spec *o, command_id c)
{
    return (o->commands >> c & 1) != 0;
}

/* Operand number `i` of a command, counted from 0; NULL if the command takes fewer operands. */
const operand_spec *command_operand(command_id c, size_t i);

/* COMMAND_NONE if there is no such command. */
command_id command_find(const char *name);

/* Finds the word that a misspelled `name` most likely means: offer all candidates, then read
 * `best` (NULL: none is similar enough). */
typedef struct nearest {
    const char *name;
    const char *best;
    size_t distance;
} nearest;

void nearest_offer(nearest *n, const char *candidate);

/* Sets and returns ERR_USAGE, with a hint, for a word that is not a command. */
err_code command_unknown(const char *name, err *e);

typedef enum command_action { ACTION_RUN, ACTION_HELP, ACTION_VERSION } command_action;

typedef struct command_line {
    command_action action;
    const char *const *operands; /* in their order; what follows the last one is unspecified */
    size_t operand_count;
    const char *paths[OPTION_ID_COUNT]; /* values of VALUE_PATH options; NULL: not given */
    const char *const
        *repeated;         /* all values of the VALUE_PATH option that is repeatable, in their */
    size_t repeated_count; /* order; a command has at most one */
} command_line;

/* Called for each option in the order of the command line, except for --help and --version, which
 * end the parsing, --json, which main looks for before parsing (options_ask_json), and --max-expand,
 * which is for the whole program (format/base/expansion.h). `value` is NULL for options without a
 * value. */
typedef err_code (*option_fn)(void *ctx, const option_spec *o, const char *value, err *e);

/* Sets and returns ERR_INTERNAL: according to the table the command has this option, but its
 * option_fn does not handle it. */
err_code option_unhandled(const option_spec *o, err *e);

/* Parse the arguments of a command; argv[0] is ignored. Options and operands may be mixed; after
 * `--`, all arguments are operands. Operands are moved to the beginning of argv, where
 * out->operands points, and after them the values of a repeatable path. -h and -V end the parsing. Long names cannot be abbreviated: an
 * abbreviation that is unambiguous today may be ambiguous once another option is added. Not
 * thread-safe (getopt). Errors: ERR_USAGE; ERR_IO for an empty path; those of on_option. */
MUST_CHECK err_code options_parse(command_id c, int argc, char **argv, option_fn on_option,
                                  void *ctx, command_line *out, err *e);

/* True if --json is among the arguments: errors in other arguments are then also reported as
 * JSON. */
bool options_ask_json(int argc, char **argv);

#endif
