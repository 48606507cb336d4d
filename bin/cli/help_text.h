/* The prose of the manual: whatever does not fit into the help of an option. */
#ifndef HELP_TEXT_H
#define HELP_TEXT_H

#include "bin/cli/options.h"

typedef struct help_example {
    const char *command; /* without "octavo " */
    const char *meaning; /* a sentence */
} help_example;

typedef struct help_text {
    const char *const *paragraphs; /* --help prints the first one, manual pages print all */
    const help_example *examples;
    const err_code *codes;       /* the errors that it may end with, then OK */
    const char *const *see_also; /* names of manual pages in section 1 */
} help_text;

/* For each command; [COMMAND_NONE] is the overview. */
extern const help_text help_texts[COMMAND_COUNT + 1];

extern const char help_date[]; /* of the text, in the form that mdoc requires */

#endif
