/* Prints the option table: as help for a terminal, as manual pages in mdoc, and as completions for
 * three shells. Everything is printed to standard output. */
#ifndef MANUAL_H
#define MANUAL_H

#include "bin/cli/options.h"

void help_print(command_id c); /* COMMAND_NONE: the overview */
void man_print(command_id c);

/* name, word of --completion */
#define SHELL_LIST(X)                                                                              \
    X(BASH, "bash")                                                                                \
    X(ZSH, "zsh")                                                                                  \
    X(FISH, "fish")

typedef enum shell {
#define X(name, word) SHELL_##name,
    SHELL_LIST(X)
#undef X
} shell;

void completion_print(shell s);

/* "octavo convert [OPTION]... -o FILE CHECKPOINT" */
void usage_print(command_id c);

#endif
