/* The commands: one object for each, in cmd_NAME.c.
 *
 *     report_start(&r, c, json);
 *     code = cmd_list[c]->run(argc, argv, &r, &e);         argv[0] is the name of the command
 *     status = report_finish(&r, code, &e);
 *
 * A command parses its arguments, does the work and reports; main prints the error that it leaves
 * in `e` and turns the code into an exit status. */
#ifndef CMD_H
#define CMD_H

#include "bin/cli/report.h"

typedef struct command {
    err_code (*run)(int argc, char **argv, report *r, err *e);
    option_fn on_option;  /* stores an option in the command's request */
    size_t request_bytes; /* size of the request */
} command;

extern const command cmd_convert, cmd_verify, cmd_inspect, cmd_unpack, cmd_diff, cmd_export,
    cmd_tokenize, cmd_devices, cmd_bench, cmd_help;

extern const command *const cmd_list[COMMAND_COUNT]; /* by command_id */

/* Print the help or the version, as text even with --json. */
MUST_CHECK err_code cmd_answer(command_action a, command_id c, report *r, err *e);

#endif
