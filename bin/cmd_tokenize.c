/* octavo tokenize: the ids of a text, by the tokenizer.json of a checkpoint or a packed file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cmd.h"
#include "format/checkpoint/checkpoint_dir.h"
#include "format/file/io.h"
#include "format/json/json.h"
#include "format/pack/pack_file.h"
#include "format/store/model_path.h"
#include "verify/tokenizer/token_input.h"
#include "verify/tokenizer/tokenizer.h"

#define TOKENIZER "tokenizer.json"

typedef struct tokenize_request {
    const char *text; /* "-": standard input */
} tokenize_request;

static err_code take(void *ctx, const option_spec *o, const char *value, err *e)
{
    tokenize_request *const q = ctx;
    if (o->id != OPTION_TEXT) {
        return option_unhandled(o, e);
    }
    q->text = value;
    return OK;
}

/* ---- where the file is ----------------------------------------- */

static err_code no_tokenizer(const char *path, err *e)
{
    return err_set(e, ERR_INPUT, "%s: has no " TOKENIZER, path);
}

static err_code read_packed(const char *path, char **json, size_t *bytes, err *e)
{
    pack_file *p = NULL;
    err_code code = pack_open(path, &p, e);
    if (code == OK) {
        code = pack_read_member(p, TOKENIZER, json, bytes, e);
    }
    pack_close(p);
    return code == OK && !*json ? no_tokenizer(path, e) : code;
}

/* Beside the weights in the folder, which is closed; `path` is what the user called it. */
static err_code read_beside(checkpoint_dir *f, const char *path, char **json, size_t *bytes, err *e)
{
    const err_code code = checkpoint_dir_read(f, TOKENIZER, JSON_FILE_LIMIT, json, bytes, e);
    checkpoint_dir_close(f);
    return code == OK && !*json ? no_tokenizer(path, e) : code;
}

static err_code read_folder(const char *path, char **json, size_t *bytes, err *e)
{
    checkpoint_dir *f = NULL;
    const err_code code = checkpoint_dir_open(path, NULL, &f, e);
    return code == OK ? read_beside(f, path, json, bytes, e) : code;
}

/* The directory of a checkpoint that is a single file. */
static err_code read_parent(const char *path, char **json, size_t *bytes, err *e)
{
    const size_t length = (size_t)(io_basename(path) - path);
    char *const dir = length ? strndup(path, length) : strdup(".");
    checkpoint_dir *f = NULL;
    err_code code = dir ? checkpoint_dir_open_directory(dir, &f, e)
                        : err_set(e, ERR_MEMORY, "%s: no memory", path);
    if (code == OK) {
        code = read_beside(f, path, json, bytes, e);
    }
    free(dir);
    return code;
}

/* The file alone, which is no model. */
static bool is_json(const char *path)
{
    const char *const dot = strrchr(path, '.');
    return dot && strcmp(dot, ".json") == 0;
}

static err_code read_tokenizer(const char *path, char **json, size_t *bytes, err *e)
{
    switch (model_path_kind(path)) {
    case MODEL_DIRECTORY:
    case MODEL_ARCHIVE:
        return read_folder(path, json, bytes, e);
    case MODEL_SHARD:
        return read_parent(path, json, bytes, e);
    default:
        return is_json(path) ? io_read_file(path, JSON_FILE_LIMIT, json, bytes, e)
                             : read_packed(path, json, bytes, e);
    }
}

static err_code load(const char *path, tokenizer **out, err *e)
{
    char *json = NULL;
    size_t bytes = 0;
    err_code code = read_tokenizer(path, &json, &bytes, e);
    const bool named = is_json(path);
    if (code == OK) {
        code = tokenizer_create(named ? path : TOKENIZER, json, bytes, out, e);
        if (code != OK && !named) {
            err_prefix(e, "%s", path);
        }
    }
    free(json);
    return code;
}

/* ---- the ids --------------------------------------------------- */

static err_code encode_file(const tokenizer *t, const char *path, token_list *ids, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    err_code code = token_input_text(path, &text, &bytes, e);
    if (code != OK) {
        return code;
    }
    code = tokenizer_encode(t, text, bytes, ids, e);
    if (code != OK) {
        err_prefix(e, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
    }
    free(text);
    return code;
}

static void print_ids(const token_list *ids)
{
    putchar('[');
    for (size_t i = 0; i < ids->count; i++) {
        printf("%s%d", i ? "," : "", ids->ids[i]);
    }
    printf("]\n");
}

static void put_ids(const char *path, const token_list *ids, report *r)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < ids->count; i++) {
        report_append(r, list, json_integer(ids->ids[i]));
    }
    report_put(r, r->root, "kind", report_text("tokens"));
    report_put(r, r->root, "path", report_text(path));
    report_put(r, r->root, "count", report_number(ids->count));
    report_put(r, r->root, "ids", list);
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    tokenize_request q = {.text = "-"};
    command_line line;
    tokenizer *t = NULL;
    token_list ids = {0};
    err_code code = options_parse(COMMAND_TOKENIZE, argc, argv, take, &q, &line, e);
    if (code != OK || line.wish != WISH_RUN) {
        return code != OK ? code : cmd_answer(line.wish, COMMAND_TOKENIZE, r, e);
    }
    code = load(line.operands[0], &t, e);
    if (code == OK) {
        code = encode_file(t, q.text, &ids, e);
    }
    if (code == OK && r->json) {
        put_ids(line.operands[0], &ids, r);
    } else if (code == OK && report_says(r, LEVEL_NORMAL)) {
        print_ids(&ids);
    }
    token_list_free(&ids);
    tokenizer_free(t);
    return code;
}

const command cmd_tokenize = {.run = run, .take = take, .request_bytes = sizeof(tokenize_request)};
