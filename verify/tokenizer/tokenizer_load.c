#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "verify/tokenizer/tokenizer.h"

static const char json_name[] = "tokenizer.json";
static const char config_name[] = "tokenizer_config.json";
static const char ranks_name[] = "tiktoken.model";

typedef struct loading {
    const char *path; /* for messages; NULL: they begin with the name of the file */
    tokenizer_file_fn read;
    void *ctx;
    char *config_text, *code;
    size_t config_bytes, code_bytes;
    json_t *config;
    char code_name[256]; /* empty: the configuration names none */
} loading;

/* Put the path before a message that begins with the name of a file; those of `read` have it. */
static err_code failed(const loading *l, err_code code, err *e)
{
    if (code != OK && l->path) {
        err_prefix(e, "%s", l->path);
    }
    return code;
}

/* The file of the class in auto_map: "tokenization_kimi.TikTokenTokenizer", perhaps after the name
 * of a repository and "--". */
static void find_code_name(loading *l)
{
    const json_t *class = json_object_get(json_object_get(l->config, "auto_map"), "AutoTokenizer");
    if (json_is_array(class)) {
        class = json_array_get(class, 0);
    }
    const char *name = json_string_value(class);
    const char *const repository = name ? strstr(name, "--") : NULL;
    name = repository ? repository + 2 : name;
    const size_t length = name ? strcspn(name, "./") : 0;
    if (length > 0 && name[length] == '.' && length + sizeof ".py" <= sizeof l->code_name) {
        snprintf(l->code_name, sizeof l->code_name, "%.*s.py", (int)length, name);
    }
}

static err_code read_config(loading *l, err *e)
{
    TRY(l->read(l->ctx, config_name, &l->config_text, &l->config_bytes, e));
    if (l->config_text) {
        TRY(failed(
            l, json_parse(config_name, l->config_text, l->config_bytes, JSON_PYTHON, &l->config, e),
            e));
        find_code_name(l);
    }
    if (l->code_name[0]) {
        TRY(l->read(l->ctx, l->code_name, &l->code, &l->code_bytes, e));
    }
    if (l->code) {
        return OK;
    }
    const bool named = l->code_name[0] != '\0';
    err_set(e, ERR_INPUT, "%s: the pattern that splits a text is in the tokenizer's code, and %s%s",
            ranks_name, named ? l->code_name : config_name,
            named ? " is missing" : " does not name that code (auto_map)");
    return failed(l, ERR_INPUT, e);
}

static err_code load_ranks(loading *l, const char *ranks, size_t bytes, const monitor *m,
                           tokenizer **out, err *e)
{
    err_code code = OK;
    TRY_OUT(read_config(l, e));
    code = tokenizer_create_tiktoken(ranks_name, ranks, bytes, l->code_name, l->code, l->config, m,
                                     out, e);
    code = failed(l, code, e);
out:
    json_decref(l->config);
    free(l->config_text);
    free(l->code);
    return code;
}

err_code tokenizer_load(const char *path, tokenizer_file_fn read, void *ctx, const monitor *m,
                        tokenizer **out, err *e)
{
    loading l = {.path = path, .read = read, .ctx = ctx};
    char *text = NULL;
    size_t bytes = 0;
    err_code code = OK;
    *out = NULL;
    TRY(read(ctx, json_name, &text, &bytes, e));
    if (text) {
        code = failed(&l, tokenizer_create(json_name, text, bytes, m, out, e), e);
    } else {
        TRY(read(ctx, ranks_name, &text, &bytes, e));
        code = text ? load_ranks(&l, text, bytes, m, out, e) : OK;
    }
    free(text);
    return code;
}
