/* octavo inspect: the contents of a packed file or of a checkpoint, and the recipe of either. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cmd.h"
#include "bin/show/inspect.h"
#include "bin/cli/value.h"
#include "bin/sandbox/sandbox.h"
#include "format/checkpoint/checkpoint.h"
#include "format/store/model_path.h"
#include "quant/recipe/recipe.h"

typedef struct inspect_request {
    const char *tensor; /* NULL: all */
    bool recipe;
} inspect_request;

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
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

static err_code load_packed_recipe(const char *path, recipe *to, err *e)
{
    pack_file *p = NULL;
    unsigned char *text = NULL;
    uint64_t bytes = 0;
    err_code code = OK;
    TRY_OUT(pack_open(path, &p, e));
    TRY_OUT(pack_read_section(p, TAG_RCPE, &text, &bytes, e));
    TRY_OUT(recipe_parse_packed(to, path, (const char *)text, bytes, e));
out:
    free(text);
    pack_close(p);
    return code;
}

/* The recipe of a packed file, or the one that convert uses without options. */
static err_code load_recipe(const char *path, recipe *to, err *e)
{
    model_kind kind;
    TRY(model_path_find(path, &kind, e));
    if (kind == MODEL_PACKED) {
        return load_packed_recipe(path, to, e);
    }
    checkpoint *cp = NULL;
    const err_code code = checkpoint_open(path, NULL, &cp, e);
    checkpoint_close(cp);
    return code;
}

static err_code show_recipe(const char *path, report *r, err *e)
{
    recipe shown = {0};
    char *text = NULL;
    size_t bytes = 0;
    json_t *value = NULL;
    err_code code = OK;
    TRY_OUT(load_recipe(path, &shown, e));
    text = recipe_json(&shown, &bytes);
    TRY_OUT(text ? OK : err_set(e, ERR_MEMORY, "no memory for a recipe"));
    if (r->json) {
        TRY_OUT(json_parse(path, text, bytes, JSON_EXACT, &value, e));
        report_put(r, r->root, "recipe", value);
    } else {
        printf("%.*s\n", (int)bytes, text);
    }
out:
    free(text);
    recipe_free(&shown);
    return code;
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    inspect_request q = {0};
    command_line line;
    TRY(options_parse(COMMAND_INSPECT, argc, argv, on_option, &q, &line, e));
    if (line.action != ACTION_RUN) {
        return cmd_answer(line.action, COMMAND_INSPECT, r, e);
    }
    if (q.recipe && q.tensor) {
        return err_set(e, ERR_USAGE, "--recipe and --tensor cannot be combined");
    }
    TRY(sandbox_enter(COMMAND_INSPECT, &line, NULL, e));
    if (q.recipe) {
        return show_recipe(line.operands[0], r, e);
    }
    model_kind kind;
    TRY(model_path_find(line.operands[0], &kind, e));
    return kind == MODEL_PACKED ? inspect_packed(line.operands[0], q.tensor, r, e)
                                : inspect_checkpoint(line.operands[0], q.tensor, r, e);
}

const command cmd_inspect = {
    .run = run, .on_option = on_option, .request_bytes = sizeof(inspect_request)};
