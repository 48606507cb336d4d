/* The commands: one function each, in cmd_NAME.c.
 *
 * argv[0] is the name of the command. The function parses the arguments, does the work and reports;
 * main prints the error it leaves in `e` and turns the code into an exit status. */
#ifndef CMD_H
#define CMD_H

#include "bin/cli/report.h"

MUST_CHECK err_code cmd_convert(int argc, char **argv, report *r, err *e);
MUST_CHECK err_code cmd_verify(int argc, char **argv, report *r, err *e);
MUST_CHECK err_code cmd_inspect(int argc, char **argv, report *r, err *e);
MUST_CHECK err_code cmd_unpack(int argc, char **argv, report *r, err *e);
MUST_CHECK err_code cmd_diff(int argc, char **argv, report *r, err *e);
MUST_CHECK err_code cmd_export(int argc, char **argv, report *r, err *e);
MUST_CHECK err_code cmd_tokenize(int argc, char **argv, report *r, err *e);
MUST_CHECK err_code cmd_devices(int argc, char **argv, report *r, err *e);
MUST_CHECK err_code cmd_bench(int argc, char **argv, report *r, err *e);
MUST_CHECK err_code cmd_help(int argc, char **argv, report *r, err *e);

/* Answer -h or -V, as text even with --json. */
MUST_CHECK err_code cmd_answer(wish w, command_id c, report *r, err *e);

#endif
