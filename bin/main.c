/* octavo: find the command, run it, say how it ended. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "bin/cmd.h"
#include "bin/cli/manual.h"
#include "bin/cli/signals.h"

/* octavo by itself has only options that end the parsing. */
static err_code take_none(void *ctx, const option_spec *o, const char *value, err *e)
{
    (void)ctx;
    (void)value;
    return option_unhandled(o, e);
}

/* Without a command: -h, -V, or a mistake. */
static err_code run_alone(int argc, char **argv, report *r, err *e)
{
    command_line line;
    if (argc > 1 && argv[1][0] != '-') {
        return command_unknown(argv[1], e);
    }
    const err_code code = options_parse(COMMAND_NONE, argc, argv, take_none, NULL, &line, e);
    if (code != OK) {
        return code;
    }
    if (line.wish == WISH_RUN) {
        err_set(e, ERR_USAGE, "missing command");
        err_hint(e, "'octavo help' lists the commands");
        return ERR_USAGE;
    }
    return cmd_answer(line.wish, COMMAND_NONE, r, e);
}

/* In place of a standard stream that is closed the next file to be opened would get messages
 * written into it. /dev/null is put there, opened the wrong way round: who uses the stream is told
 * as before. */
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
    occupy_standard_streams();
    report r;
    err e = {0};
    const command_id c = argc > 1 ? command_find(argv[1]) : COMMAND_NONE;
    const int named = c == COMMAND_NONE ? 0 : 1; /* the command's arguments begin with its name */
    report_start(&r, c, c != COMMAND_HELP && options_ask_json(argc - named, argv + named));
    report_take_output(&r);
    const err_code code = c == COMMAND_NONE ? run_alone(argc, argv, &r, &e)
                                            : cmd_list[c]->run(argc - named, argv + named, &r, &e);
    const int status = report_finish(&r, code, &e);
    signals_reraise();
    return status;
}
