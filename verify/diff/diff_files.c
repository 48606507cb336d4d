/* The files of two models: those embedded in a packed file, or those next to the shards that
 * convert would embed. Also the recipes of two packed files. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/archive/embed_tar.h"
#include "format/checkpoint/embed.h"
#include "format/file/io.h"
#include "format/json/json.h"
#include "verify/diff/diff_job.h"

static const char *const sides[] = {"A", "B"};

/* The files of one side, sorted by name. Files of a checkpoint are read when they are compared. */
typedef struct file_list {
    bool packed;
    member *members; /* of a packed file */
    size_t count;
    embed_list beside; /* of a checkpoint */
} file_list;

/* One file of a pair. */
typedef struct file_text {
    const char *data; /* NULL: missing */
    size_t bytes;
    char *owned;
} file_text;

static err_code list_files(const store *s, const monitor *m, file_list *out, err *e)
{
    out->packed = s->packed != NULL;
    return s->packed ? pack_read_members(s->packed, &out->members, &out->count, e)
                     : embed_choose(s->source->folder, NULL, 0, m, &out->beside, e);
}

static void free_files(file_list *l)
{
    members_free(l->members, l->count);
    embed_list_free(&l->beside);
}

/* The name of file `i`: "" if convert would not embed it, NULL after the last one. */
static const char *name_at(const file_list *l, size_t i)
{
    if (l->packed) {
        return i < l->count ? l->members[i].name : NULL;
    }
    return i >= l->beside.count ? NULL : l->beside.files[i].embedded ? l->beside.files[i].name : "";
}

/* The name of the next file that convert would embed, from file *i on; NULL: no more. */
static const char *next_name(const file_list *l, size_t *i)
{
    while (name_at(l, *i) && !*name_at(l, *i)) {
        ++*i;
    }
    return name_at(l, *i);
}

static err_code load(const file_list *l, size_t i, file_text *out, err *e)
{
    if (l->packed) {
        *out = (file_text){.data = l->members[i].data, .bytes = l->members[i].bytes};
        return OK;
    }
    const err_code code = embed_read(&l->beside, i, JSON_FILE_LIMIT, &out->owned, &out->bytes, e);
    out->data = out->owned;
    return code;
}

/* ---- one file -------------------------------------------------- */

static bool is_json(const char *name)
{
    const char *const dot = strrchr(name, '.');
    return dot && strcmp(dot, ".json") == 0;
}

/* *out is NULL if the file is not valid JSON: then only bytes can be compared. That memory is short is
 * no such answer. */
static err_code parse(const char *name, const file_text *f, json_t **out, err *e)
{
    err why = {0};
    *out = NULL;
    if (!is_json(name)) {
        return OK;
    }
    const err_code code = json_parse(name, f->data, f->bytes, JSON_PYTHON | JSON_LARGE, out, &why);
    if (code != OK) {
        *out = NULL;
    }
    return code == OK || code == ERR_INPUT ? OK : err_set(e, code, "%s", why.text);
}

static err_code compare_texts(difference_list *list, const char *name, const file_text *a,
                              const file_text *b, err *e)
{
    char what[NAME_MAX + 8];
    snprintf(what, sizeof what, "file %s", name);
    json_t *x = NULL;
    json_t *y = NULL;
    const size_t before = list->count;
    err_code code = OK;
    TRY_OUT(parse(name, a, &x, e));
    TRY_OUT(parse(name, b, &y, e));
    if (x && y) {
        difference_json(list, what, sides, x, y);
    }
    if (list->count == before) {
        difference_add(list,
                       x && y ? "%s: same values, different formatting: %zu bytes in A, %zu in B"
                              : "%s: different contents: %zu bytes in A, %zu in B",
                       what, a->bytes, b->bytes);
    }
out:
    json_decref(y);
    json_decref(x);
    return code;
}

static err_code compare_file(diff_job *j, const char *name, const file_list lists[2],
                             const size_t at[2], err *e)
{
    diff_report *const r = j->report;
    file_text text[2] = {0};
    err_code code = OK;
    TRY_OUT(load(&lists[0], at[0], &text[0], e));
    TRY_OUT(load(&lists[1], at[1], &text[1], e));
    if (text[0].bytes == text[1].bytes && memcmp(text[0].data, text[1].data, text[0].bytes) == 0) {
        r->files_alike++;
    } else {
        r->files_different++;
        TRY_OUT(compare_texts(&r->files, name, &text[0], &text[1], e));
    }
out:
    free(text[1].owned);
    free(text[0].owned);
    return code;
}

static err_code compare_files(diff_job *j, const file_list lists[2], err *e)
{
    size_t at[2] = {0};
    for (;;) {
        TRY(monitor_step(j->monitor, 0, e));
        const char *const a = next_name(&lists[0], &at[0]);
        const char *const b = next_name(&lists[1], &at[1]);
        if (!a && !b) {
            return OK;
        }
        const int order = !a ? 1 : !b ? -1 : strcmp(a, b);
        if (order == 0) {
            TRY(compare_file(j, a, lists, at, e));
        } else {
            j->report->files_different++;
            difference_add(&j->report->files, "file %s: only in %s", order < 0 ? a : b,
                           sides[order < 0 ? 0 : 1]);
        }
        at[0] += order <= 0;
        at[1] += order >= 0;
    }
}

/* ---- recipes --------------------------------------------------- */

static err_code load_recipe(const pack_file *p, json_t **out, err *e)
{
    unsigned char *text = NULL;
    uint64_t bytes = 0;
    err_code code = OK;
    TRY_OUT(pack_read_section(p, TAG_RCPE, &text, &bytes, e));
    TRY_OUT(json_parse("the recipe", (const char *)text, bytes, JSON_EXACT, out, e));
out:
    free(text);
    if (code != OK) {
        err_prefix(e, "%s", p->path);
    }
    return code;
}

static err_code compare_recipes(diff_job *j, err *e)
{
    json_t *recipes[2] = {NULL};
    err_code code = OK;
    TRY_OUT(load_recipe(j->stores[0]->packed, &recipes[0], e));
    TRY_OUT(load_recipe(j->stores[1]->packed, &recipes[1], e));
    difference_json(&j->report->files, "recipe", sides, recipes[0], recipes[1]);
out:
    json_decref(recipes[1]);
    json_decref(recipes[0]);
    return code;
}

err_code diff_files(diff_job *j, err *e)
{
    file_list lists[2] = {0};
    err_code code = OK;
    TRY_OUT(list_files(j->stores[0], j->monitor, &lists[0], e));
    TRY_OUT(list_files(j->stores[1], j->monitor, &lists[1], e));
    TRY_OUT(compare_files(j, lists, e));
    if (j->stores[0]->packed && j->stores[1]->packed) {
        TRY_OUT(compare_recipes(j, e));
    }
    if (j->report->files.incomplete) {
        code = err_set(e, ERR_MEMORY, "no memory for the list of differences");
    }
out:
    free_files(&lists[1]);
    free_files(&lists[0]);
    return code;
}
