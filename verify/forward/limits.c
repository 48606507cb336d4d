#include "verify/forward/limits.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"

static const char version_key[] = "octavo_limits";
static const char *const activation_keys[LIMITS_ACTIVATIONS] = {"f32", "fp8"};

void limits_default(limits *l)
{
    for (int a = 0; a < LIMITS_ACTIVATIONS; a++) {
        for (int m = 0; m < METRIC_COUNT; m++) {
            l->bounds[a][m] = metrics[m].bound;
        }
    }
}

/* ---- JSON ------------------------------------------------------ */

/* The metric of this name that can have a limit; -1: none. */
static int find_metric(const char *name)
{
    for (int m = 0; m < METRIC_COUNT; m++) {
        if (metrics[m].limit != LIMIT_NONE && strcmp(metrics[m].name, name) == 0) {
            return m;
        }
    }
    return -1;
}

static int find_activations(const char *key)
{
    for (int a = 0; a < LIMITS_ACTIVATIONS; a++) {
        if (strcmp(activation_keys[a], key) == 0) {
            return a;
        }
    }
    return -1;
}

static err_code refuse_metric(const char *what, const char *key, const char *name, err *e)
{
#define NAME_MAXIMUM(name) " " #name
#define NAME_MINIMUM(name) " " #name
#define NAME_NONE(name)
#define X(scope, code, metric, member, limit, bound, form, heading) NAME_##limit(metric)
    static const char all[] = METRICS(X);
#undef X
    err_set(e, ERR_INPUT, "%s: \"%s\": unknown metric \"%.80s\"", what, key, name);
    err_hint(e, "metrics:%s", all);
    return ERR_INPUT;
}

/* One bound; null removes it. jansson rejects infinities and NaN. */
static err_code parse_bound(double *bounds, const char *what, const char *key, const char *name,
                            const json_t *value, err *e)
{
    const int m = find_metric(name);
    if (m < 0) {
        return refuse_metric(what, key, name, e);
    }
    if (json_is_null(value)) {
        bounds[m] = NAN;
        return OK;
    }
    if (!json_is_number(value)) {
        return err_set(e, ERR_INPUT, "%s: \"%s\": \"%s\" is neither a number nor null", what, key,
                       name);
    }
    const double bound = json_number_value(value);
    if (!(bound >= 0)) {
        return err_set(e, ERR_INPUT, "%s: \"%s\": \"%s\": expected 0 or more, found %.9g", what,
                       key, name, bound);
    }
    if (metrics[m].limit == LIMIT_MINIMUM && bound > 1) {
        return err_set(e, ERR_INPUT, "%s: \"%s\": \"%s\": expected 0 to 1, found %.9g", what, key,
                       name, bound);
    }
    bounds[m] = bound;
    return OK;
}

static err_code parse_bounds(limits *l, const char *what, const char *key, json_t *value, err *e)
{
    const int a = find_activations(key);
    if (a < 0) {
        return err_set(e, ERR_INPUT, "%s: unknown key \"%.80s\" in a file of limits", what, key);
    }
    if (!json_is_object(value)) {
        return err_set(e, ERR_INPUT, "%s: \"%s\" is not an object of metrics", what, key);
    }
    const char *name = NULL;
    json_t *bound = NULL;
    json_object_foreach(value, name, bound)
    {
        TRY(parse_bound(l->bounds[a], what, key, name, bound, e));
    }
    return OK;
}

static err_code parse_object(limits *l, const char *what, json_t *root, err *e)
{
    const json_t *const version = json_object_get(root, version_key);
    if (!json_is_integer(version) || json_integer_value(version) != 1) {
        return err_set(e, ERR_INPUT, "%s: not a file of limits: \"%s\" has to be 1", what,
                       version_key);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(root, key, value)
    {
        if (strcmp(key, version_key) != 0) {
            TRY(parse_bounds(l, what, key, value, e));
        }
    }
    return OK;
}

/* Changes *l only if all of `root` is valid; releases `root`. */
static err_code take_object(limits *l, const char *what, json_t *root, err *e)
{
    limits changed = *l;
    err_code code = OK;
    TRY_OUT(parse_object(&changed, what, root, e));
    *l = changed;
out:
    json_decref(root);
    return code;
}

err_code limits_parse(limits *l, const char *what, const char *text, size_t bytes, err *e)
{
    json_t *root = NULL;
    TRY(json_parse(what, text, bytes, JSON_EXACT, &root, e));
    return take_object(l, what, root, e);
}

err_code limits_read(const char *path, limits *l, err *e)
{
    json_t *root = NULL;
    TRY(json_parse_file(path, JSON_EXACT, &root, e));
    return take_object(l, path, root, e);
}

/* ---- judging --------------------------------------------------- */

static err_code add_failure(limit_failures *f, limit_failure failure, err *e)
{
    if (f->count == f->capacity) {
        const size_t capacity = f->capacity ? 2 * f->capacity : 16;
        limit_failure *const items = realloc(f->items, capacity * sizeof *items);
        if (!items) {
            return err_set(e, ERR_MEMORY, "no memory for a list of %zu failures", capacity);
        }
        f->items = items;
        f->capacity = capacity;
    }
    f->items[f->count++] = failure;
    return OK;
}

/* NAN passes no limit: both comparisons are false. */
static bool passes(metric m, double measured, double limit)
{
    return metrics[m].limit == LIMIT_MINIMUM ? measured >= limit : measured <= limit;
}

err_code limits_judge(const limits *l, limits_activations a, metric m, const double *measured,
                      int64_t first_layer, size_t count, limit_failures *out, err *e)
{
    assert(first_layer >= 0 || count == 1);
    const double limit = l->bounds[a][m];
    for (size_t i = 0; i < count && !isnan(limit); i++) {
        if (!passes(m, measured[i], limit)) {
            const int64_t layer = first_layer < 0 ? -1 : first_layer + (int64_t)i;
            TRY(add_failure(out, (limit_failure){m, layer, measured[i], limit}, e));
        }
    }
    return OK;
}

void limit_failures_free(limit_failures *f)
{
    free(f->items);
    *f = (limit_failures){0};
}
