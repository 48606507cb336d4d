/* octavo inspect: packed file or checkpoint? And the recipe of either. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cmd.h"
#include "bin/show/inspect.h"
#include "bin/cli/value.h"
#include "format/checkpoint/checkpoint.h"
#include "format/store/model_path.h"
#include "quant/recipe/recipe.h"

typedef struct inspect_request {
    const char *tensor; /* NULL: all */
    bool recipe;
} inspect_request;

static err_code take(void *ctx, const option_spec *o, const char *value, err *e)
{
    inspect_request *const q = ctx;
    switch (o->id) {
    case OPTION_TENSOR:
        q->tensor = value;
        return value_glob("--tensor", value, e);
    case OPTION_PRINT_RECIPE:
        q->recipe = true;
        return OK;
    default:
        return option_unhandled(o, e);
    }
}

/* The recipe as text: that of a packed file, or the one that convert uses without options. */
static err_code load_recipe(const char *path, char **text, size_t *bytes, err *e)
{
    if (model_path_kind(path) == MODEL_PACKED) {
        pack_file *p = NULL;
        uint64_t length = 0;
        err_code code = pack_open(path, &p, e);
        if (code == OK) {
            code = pack_read_section(p, TAG_RCPE, (unsigned char **)text, &length, e);
        }
        *bytes = length;
        pack_close(p);
        return code;
    }
    checkpoint *cp = NULL;
    const err_code code = checkpoint_open(path, NULL, &cp, e);
    checkpoint_close(cp);
    if (code != OK) {
        return code;
    }
    *text = recipe_json(&(recipe){0}, bytes);
    return *text ? OK : err_set(e, ERR_MEMORY, "no memory for a recipe");
}

static err_code show_recipe(const char *path, report *r, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    json_t *value = NULL;
    err_code code = load_recipe(path, &text, &bytes, e);
    if (code == OK && r->json) {
        code = json_parse(path, text, bytes, false, &value, e);
    }
    if (code == OK && r->json) {
        report_put(r, r->root, "recipe", value);
    } else if (code == OK) {
        printf("%.*s\n", (int)bytes, text);
    }
    free(text);
    return code;
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    inspect_request q = {0};
    command_line line;
    const err_code code = options_parse(COMMAND_INSPECT, argc, argv, take, &q, &line, e);
    if (code != OK || line.wish != WISH_RUN) {
        return code != OK ? code : cmd_answer(line.wish, COMMAND_INSPECT, r, e);
    }
    if (q.recipe && q.tensor) {
        return err_set(e, ERR_USAGE, "--recipe and --tensor exclude each other");
    }
    if (q.recipe) {
        return show_recipe(line.operands[0], r, e);
    }
    return model_path_kind(line.operands[0]) == MODEL_PACKED
               ? inspect_packed(line.operands[0], q.tensor, r, e)
               : inspect_checkpoint(line.operands[0], q.tensor, r, e);
}

const command cmd_inspect = {.run = run, .take = take, .request_bytes = sizeof(inspect_request)};
