/* Gives up every right that a command does not need, once its arguments are parsed and before it
 * reads files of other people. A fault in how octavo reads a file then gives an attacker a process
 * that can read the inputs and the files next to them, write next to the output, and little else
 * (spec/reliability.md 8).
 *
 *     options_parse(COMMAND_VERIFY, argc, argv, on_option, &q, &line, e);
 *     TRY(sandbox_enter(COMMAND_VERIFY, &line, m, e));
 *
 * What may be read and written follows from the paths on the command line. Not for commands that
 * use a GPU: the driver needs far more.
 *
 * Call it while there is only one thread. Where the kernel refuses, or the variable OCTAVO_SANDBOX
 * is "off", the command runs as it would without. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "bin/cli/options.h"
#include "format/base/monitor.h"

/* Why sandbox_enter does nothing, whatever the kernel has: the variable, or a sanitizer in this
 * build. NULL: it does something. */
const char *sandbox_off(void);

/* Errors: ERR_MEMORY. `explain` gets a note if there is no sandbox, and why; NULL: nobody asks. */
MUST_CHECK err_code sandbox_enter(command_id c, const command_line *line, const monitor *explain,
                                  err *e);

#endif
