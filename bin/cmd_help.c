/* octavo help, and the answers to -h and -V of every command. */
#include <string.h>

#include "bin/cmd.h"
#include "bin/cli/manual.h"
#include "bin/cli/value.h"
#include "bin/cli/version.h"

typedef struct help_request {
    bool man, completion;
    unsigned shell;
} help_request;

static err_code take(void *ctx, const option_spec *o, const char *value, err *e)
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

err_code cmd_answer(wish w, command_id c, report *r, err *e)
{
    r->json = false;
    if (w == WISH_VERSION) {
        return version_print(e);
    }
    help_print(c);
    return OK;
}

/* The operand: a command, or octavo itself, which is what is meant without one. */
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
    err_code code = options_parse(COMMAND_HELP, argc, argv, take, &q, &line, e);
    if (code != OK || line.wish != WISH_RUN) {
        return code != OK ? code : cmd_answer(line.wish, COMMAND_HELP, r, e);
    }
    if (q.completion && (q.man || line.operand_count > 0)) {
        return err_set(e, ERR_USAGE, "--completion stands alone");
    }
    code = find_topic(line.operand_count > 0 ? line.operands[0] : NULL, &topic, e);
    if (code != OK) {
        return code;
    }
    if (q.completion) {
        completion_print((shell)q.shell);
    } else if (q.man) {
        man_print(topic);
    } else {
        help_print(topic);
    }
    return OK;
}

const command cmd_help = {.run = run, .take = take, .request_bytes = sizeof(help_request)};
