/* octavo: find the command, run it, return its exit status. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "bin/cmd.h"
#include "bin/cli/library_guard.h"
#include "bin/cli/manual.h"
#include "bin/cli/signals.h"

/* Without a command, octavo has only options that end the parsing. */
static err_code on_no_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    (void)ctx;
    (void)value;
    return option_unhandled(o, e);
}

/* Without a command: -h, -V, or an error. */
static err_code run_without_command(int argc, char **argv, report *r, err *e)
{
    command_line line;
    if (argc > 1 && argv[1][0] != '-') {
        return command_unknown(argv[1], e);
    }
    TRY(options_parse(COMMAND_NONE, argc, argv, on_no_option, NULL, &line, e));
    if (line.action == ACTION_RUN) {
        err_set(e, ERR_USAGE, "missing command");
        err_hint(e, "try 'octavo help' for a list of commands");
        return ERR_USAGE;
    }
    return cmd_answer(line.action, COMMAND_NONE, r, e);
}

/* If a standard stream is closed, the next file to be opened would get its descriptor, and messages
 * would be written into that file. /dev/null takes its place, opened with the opposite mode, so
 * that any use of the stream fails as before. */
static void occupy_standard_streams(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd) {
            _exit(err_exit_status(ERR_IO));
        }
    }
}

int main(int argc, char **argv)
{
    static report r; /* for library_guard, which may need it after main has returned */
    occupy_standard_streams();
    err e = {0};
    const command_id c = argc > 1 ? command_find(argv[1]) : COMMAND_NONE;
    const int named = c == COMMAND_NONE ? 0 : 1; /* the command's arguments begin with its name */
    report_start(&r, c, c != COMMAND_HELP && options_ask_json(argc - named, argv + named));
    report_open_output(&r);
    library_guard_start(&r);
    const err_code code = c == COMMAND_NONE ? run_without_command(argc, argv, &r, &e)
                                            : cmd_list[c]->run(argc - named, argv + named, &r, &e);
    const int status = report_finish(&r, code, &e);
    signals_reraise();
    return status;
}
