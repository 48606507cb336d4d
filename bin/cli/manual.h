/* The option table as text: help for a terminal, manual pages in mdoc, completions for three
 * shells. All print to standard output. */
#ifndef MANUAL_H
#define MANUAL_H

#include "bin/cli/options.h"

void help_print(command_id c); /* COMMAND_NONE: the overview */
void man_print(command_id c);

/* In the order of the words of --completion. */
typedef enum shell { SHELL_BASH, SHELL_ZSH, SHELL_FISH } shell;

void completion_print(shell s);

/* "octavo convert [OPTION]... -o FILE CHECKPOINT" */
void usage_print(command_id c);

#endif
