/* octavo tokenize: the token ids of texts, with the tokenizer of a checkpoint or packed file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cmd.h"
#include "bin/sandbox/sandbox.h"
#include "format/checkpoint/checkpoint_dir.h"
#include "format/file/io.h"
#include "format/json/json.h"
#include "format/pack/pack_file.h"
#include "format/store/model_path.h"
#include "verify/tokenizer/text_files.h"
#include "verify/tokenizer/text_source.h"
#include "verify/tokenizer/text_tokens.h"

typedef struct tokenize_request {
    const char *text;  /* the last --text; NULL: none */
    const char *field; /* --text-field; NULL: not given */
} tokenize_request;

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    tokenize_request *const q = ctx;
    switch (o->id) {
    case OPTION_TEXT:
        q->text = value;
        return OK;
    case OPTION_TEXT_FIELD:
        q->field = value;
        return OK;
    default:
        return option_unhandled(o, e);
    }
}

/* ---- finding the tokenizer ------------------------------------------ */

static err_code read_member(void *ctx, const char *name, char **data, size_t *bytes, err *e)
{
    return pack_read_member(ctx, name, data, bytes, e);
}

static err_code load_packed(const char *path, const monitor *m, tokenizer **out, err *e)
{
    pack_file *p = NULL;
    err_code code = OK;
    TRY_OUT(pack_open(path, &p, e));
    code = tokenizer_load(path, read_member, p, m, out, e);
out:
    pack_close(p);
    return code;
}

static err_code read_neighbor(void *ctx, const char *name, char **data, size_t *bytes, err *e)
{
    return checkpoint_dir_read(ctx, name, JSON_FILE_LIMIT, data, bytes, e);
}

static err_code load_folder(const char *path, const monitor *m, tokenizer **out, err *e)
{
    checkpoint_dir *f = NULL;
    TRY(checkpoint_dir_open(path, NULL, &f, e));
    const err_code code = tokenizer_load(path, read_neighbor, f, m, out, e);
    checkpoint_dir_close(f);
    return code;
}

/* The directory of a checkpoint that is a single file. */
static err_code load_parent(const char *path, const monitor *m, tokenizer **out, err *e)
{
    const size_t length = (size_t)(io_basename(path) - path);
    char *const dir = length ? strndup(path, length) : strdup(".");
    checkpoint_dir *f = NULL;
    err_code code = OK;
    TRY_OUT(dir ? checkpoint_dir_open_directory(dir, &f, e)
                : err_set(e, ERR_MEMORY, "%s: no memory", path));
    code = tokenizer_load(path, read_neighbor, f, m, out, e);
    checkpoint_dir_close(f);
out:
    free(dir);
    return code;
}

/* A tokenizer file that is given directly instead of a model. */
static err_code load_file(const char *path, const monitor *m, tokenizer **out, err *e)
{
    char *json = NULL;
    size_t bytes = 0;
    TRY(io_read_file(path, JSON_FILE_LIMIT, &json, &bytes, e));
    const err_code code = tokenizer_create(path, json, bytes, m, out, e);
    free(json);
    return code;
}

static bool is_json(const char *path)
{
    const char *const dot = strrchr(path, '.');
    return dot && strcmp(dot, ".json") == 0;
}

static err_code load_model(const char *path, model_kind kind, const monitor *m, tokenizer **out,
                           err *e)
{
    switch (kind) {
    case MODEL_DIRECTORY:
    case MODEL_ARCHIVE:
        return load_folder(path, m, out, e);
    case MODEL_SHARD:
        return load_parent(path, m, out, e);
    default:
        return load_packed(path, m, out, e);
    }
}

static bool names_file(const char *path, model_kind kind)
{
    return is_json(path) && kind != MODEL_DIRECTORY && kind != MODEL_ARCHIVE && kind != MODEL_SHARD;
}

static err_code load(const char *path, const monitor *m, tokenizer **out, err *e)
{
    model_kind kind;
    TRY(model_path_find(path, &kind, e));
    if (names_file(path, kind)) {
        return load_file(path, m, out, e);
    }
    TRY(load_model(path, kind, m, out, e));
    if (*out) {
        return OK;
    }
    err_set(e, ERR_INPUT, "%s: no tokenizer.json or tiktoken.model found", path);
    err_hint(e, "transformers writes one: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)");
    return ERR_INPUT;
}

/* ---- the ids --------------------------------------------------- */

/* The files of --text, or standard input. */
static err_code find_texts(const tokenize_request *q, const command_line *line, const monitor *m,
                           dir_list *files, err *e)
{
    static const char *const standard[] = {"-"};
    const char *const *const texts = q->text ? line->repeated : standard;
    return text_files_find(texts, q->text ? line->repeated_count : 1, q->field, m, files, e);
}

static err_code encode(const tokenize_request *q, const tokenizer *t, const dir_list *files,
                       const monitor *m, token_list *ids, err *e)
{
    bool ended = false;
    const text_tokens_request request = {
        .tokenizer = t,
        .files = files,
        .field = q->field ? q->field : TEXT_SOURCE_FIELD,
        .wanted = SIZE_MAX,
        .vocab = UINT64_MAX,
        .monitor = m,
    };
    return text_tokens(&request, ids, &ended, e);
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
    tokenize_request q = {0};
    command_line line;
    tokenizer *t = NULL;
    dir_list files = {0};
    token_list ids = {0};
    err_code code = OK;
    TRY(options_parse(COMMAND_TOKENIZE, argc, argv, on_option, &q, &line, e));
    if (line.action != ACTION_RUN) {
        return cmd_answer(line.action, COMMAND_TOKENIZE, r, e);
    }
    const monitor *const m = report_monitor(r, PROGRESS_NEVER);
    TRY_OUT(sandbox_enter(COMMAND_TOKENIZE, &line, NULL, e));
    TRY_OUT(load(line.operands[0], m, &t, e));
    TRY_OUT(find_texts(&q, &line, m, &files, e));
    TRY_OUT(encode(&q, t, &files, m, &ids, e));
    if (r->json) {
        put_ids(line.operands[0], &ids, r);
    } else if (report_says(r, LEVEL_NORMAL)) {
        print_ids(&ids);
    }
out:
    token_list_free(&ids);
    dir_list_free(&files);
    tokenizer_free(t);
    return code;
}

const command cmd_tokenize = {
    .run = run, .on_option = on_option, .request_bytes = sizeof(tokenize_request)};
