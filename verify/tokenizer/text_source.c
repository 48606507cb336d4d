#include "verify/tokenizer/text_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "verify/tokenizer/text_files.h"
#include "verify/tokenizer/text_lines.h"
#include "verify/tokenizer/token_input.h"

struct text_source {
    const dir_list *files;
    const char *field;
    const monitor *m;
    size_t at;         /* the next file */
    text_lines *lines; /* the last file, if it has lines and is not at its end; else NULL */
    json_t *record;    /* its last line */
    char *whole;       /* the last text that is a whole file */
};

err_code text_source_open(const dir_list *files, const char *field, const monitor *m,
                          text_source **out, err *e)
{
    *out = malloc(sizeof **out);
    if (!*out) {
        return err_set(e, ERR_MEMORY, "no memory to read texts");
    }
    **out = (text_source){.files = files, .field = field, .m = m};
    return OK;
}

static void release(text_source *s)
{
    free(s->whole);
    json_decref(s->record);
    s->whole = NULL;
    s->record = NULL;
}

void text_source_close(text_source *s)
{
    if (s) {
        release(s);
        text_lines_close(s->lines);
        free(s);
    }
}

/* ---- JSON lines ------------------------------------------------ */

static bool is_blank(const char *line, size_t bytes)
{
    size_t i = 0;
    while (i < bytes && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r')) {
        i++;
    }
    return i == bytes;
}

static err_code read_record(text_source *s, const char *line, size_t bytes, text_piece *t, err *e)
{
    char what[32];
    snprintf(what, sizeof what, "line %zu", text_lines_number(s->lines));
    TRY(json_parse(what, line, bytes, JSON_EXACT | JSON_LINE, &s->record, e));
    if (!json_is_object(s->record)) {
        return err_set(e, ERR_INPUT, "%s: not an object", what);
    }
    const json_t *const text = json_object_get(s->record, s->field);
    if (!text) {
        err_set(e, ERR_INPUT, "%s: no field \"%s\"", what, s->field);
        err_hint(e, "--text-field NAME names the field with the text");
        return ERR_INPUT;
    }
    if (!json_is_string(text)) {
        return err_set(e, ERR_INPUT, "%s: the field \"%s\" is not a string", what, s->field);
    }
    *t = (text_piece){json_string_value(text), json_string_length(text)};
    return OK;
}

/* The next record; t->data stays NULL at the end of the file. */
static err_code next_record(text_source *s, text_piece *t, err *e)
{
    const char *line = NULL;
    size_t bytes = 0;
    do {
        TRY(text_lines_next(s->lines, &line, &bytes, e));
    } while (line && is_blank(line, bytes));
    if (!line) {
        return OK;
    }
    const err_code code = read_record(s, line, bytes, t, e);
    if (code != OK) {
        err_prefix(e, "%s", s->files->names[s->at - 1]);
    }
    return code;
}

static err_code next_of_lines(text_source *s, text_piece *t, err *e)
{
    const err_code code = next_record(s, t, e);
    if (code == OK && t->data) {
        return OK;
    }
    TRY(text_lines_check(s->lines, code, e));
    text_lines_close(s->lines);
    s->lines = NULL;
    return OK;
}

/* ---- files ----------------------------------------------------- */

static err_code next_file(text_source *s, text_piece *t, err *e)
{
    const char *const path = s->files->names[s->at++];
    if (text_files_is_lines(path)) {
        return text_lines_open(path, s->m, &s->lines, e);
    }
    TRY(token_input_text(path, s->m, &s->whole, &t->bytes, e));
    t->data = s->whole;
    return OK;
}

err_code text_source_next(text_source *s, text_piece *t, err *e)
{
    *t = (text_piece){0};
    release(s);
    while (!t->data && (s->lines || s->at < s->files->count)) {
        TRY(s->lines ? next_of_lines(s, t, e) : next_file(s, t, e));
    }
    return OK;
}

void text_source_place(const text_source *s, err *e)
{
    const char *const path = s->at > 0 ? s->files->names[s->at - 1] : "";
    if (s->lines) {
        err_prefix(e, "%s: line %zu", path, text_lines_number(s->lines));
    } else {
        err_prefix(e, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
    }
}

err_code text_source_ended(text_source *s, bool *ended, err *e)
{
    *ended = s->at == s->files->count;
    return s->lines && *ended ? text_lines_ended(s->lines, ended, e) : OK;
}

err_code text_source_check(text_source *s, err_code code, err *e)
{
    return s->lines ? text_lines_check(s->lines, code, e) : code;
}
