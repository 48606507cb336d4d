/* The prose of the manual: what cannot be said in the sentence of an option. */
#ifndef HELP_TEXT_H
#define HELP_TEXT_H

#include "bin/cli/options.h"

typedef struct help_example {
    const char *command; /* without "octavo " */
    const char *meaning; /* a sentence */
} help_example;

typedef struct help_text {
    const char *const *paragraphs; /* the first is for --help, too */
    const help_example *examples;
    const err_code *codes;       /* how it may end, OK last */
    const char *const *see_also; /* names of manual pages in section 1 */
} help_text;

/* For each command; [COMMAND_NONE] is the overview. */
extern const help_text help_texts[COMMAND_COUNT + 1];

extern const char help_date[]; /* of the text, as mdoc wants it */

#endif
