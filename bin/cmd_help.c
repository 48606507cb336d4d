/* octavo help, and -h and -V of every command. */
#include <string.h>

#include "bin/cmd.h"
#include "bin/cli/manual.h"
#include "bin/cli/value.h"
#include "bin/cli/version.h"

typedef struct help_request {
    bool man, completion;
    unsigned shell;
} help_request;

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    help_request *const q = ctx;
    switch (o->id) {
    case OPTION_MAN:
        q->man = true;
        return OK;
    case OPTION_COMPLETION:
        q->completion = true;
        return value_word("--completion", value, o->words, &q->shell, e);
    default:
        return option_unhandled(o, e);
    }
}

err_code cmd_answer(command_action a, command_id c, report *r, err *e)
{
    r->json = false;
    if (a == ACTION_VERSION) {
        return version_print(e);
    }
    help_print(c);
    return OK;
}

/* The operand: a command, or octavo itself, which is also the topic without an operand. */
static err_code find_topic(const char *name, command_id *c, err *e)
{
    *c = COMMAND_NONE;
    if (!name || strcmp(name, "octavo") == 0) {
        return OK;
    }
    *c = command_find(name);
    return *c == COMMAND_NONE ? command_unknown(name, e) : OK;
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    help_request q = {0};
    command_line line;
    command_id topic = COMMAND_NONE;
    TRY(options_parse(COMMAND_HELP, argc, argv, on_option, &q, &line, e));
    if (line.action != ACTION_RUN) {
        return cmd_answer(line.action, COMMAND_HELP, r, e);
    }
    if (q.completion && (q.man || line.operand_count > 0)) {
        return err_set(e, ERR_USAGE,
                       "--completion takes no command, and cannot be combined with --man");
    }
    TRY(find_topic(line.operand_count > 0 ? line.operands[0] : NULL, &topic, e));
    if (q.completion) {
        completion_print((shell)q.shell);
    } else if (q.man) {
        man_print(topic);
    } else {
        help_print(topic);
    }
    return OK;
}

const command cmd_help = {
    .run = run, .on_option = on_option, .request_bytes = sizeof(help_request)};
