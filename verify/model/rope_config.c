#include "verify/model/rope_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/json/json_value.h"
#include "verify/model/model_arch.h"

#define THETA      "rope_theta"
#define PARTIAL    "partial_rotary_factor"
#define SCALING    "rope_scaling"
#define PARAMETERS "rope_parameters"

/* Keys that a rope object may have if its type is yarn. */
static const char *const yarn_keys[] = {"factor", "original_max_position_embeddings", "beta_fast",
                                        "beta_slow", "attention_factor"};
enum { YARN_KEYS = sizeof yarn_keys / sizeof yarn_keys[0] };
enum { KEY_BYTES = 256 };

/* The parameters of one rope object. */
typedef struct scaling {
    bool yarn;
    double factor, beta_fast, beta_slow, attention;
    unsigned original;
} scaling;

bool model_rope_key(const char *key)
{
    return strcmp(key, THETA) == 0 || strcmp(key, PARTIAL) == 0 || strcmp(key, SCALING) == 0 ||
           strcmp(key, PARAMETERS) == 0;
}

/* "rope_scaling.factor" */
static const char *path_of(const char *object, const char *key, char text[KEY_BYTES])
{
    snprintf(text, KEY_BYTES, "%s.%s", object, key);
    return text;
}

static bool is_yarn_key(const char *key)
{
    bool found = false;
    for (unsigned i = 0; i < YARN_KEYS; i++) {
        found = found || strcmp(key, yarn_keys[i]) == 0;
    }
    return found;
}

static err_code check_keys(const char *what, const char *name, json_t *object, err *e)
{
    const bool both = strcmp(name, PARAMETERS) == 0;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        const bool outer = strcmp(key, THETA) == 0 || strcmp(key, PARTIAL) == 0;
        const bool type = strcmp(key, "type") == 0 || strcmp(key, "rope_type") == 0;
        if (!type && !is_yarn_key(key) && !(both && outer)) {
            return err_set(e, ERR_INPUT, "%s: %s.%s is not supported", what, name, key);
        }
    }
    return OK;
}

static err_code read_type(const char *what, const char *name, const json_t *object, bool *yarn,
                          err *e)
{
    char path[KEY_BYTES];
    const char *type = NULL;
    const json_t *const first = config_given(object, "type");
    const json_t *const second = config_given(object, "rope_type");
    if (first && second && !config_same(first, second)) {
        return err_set(e, ERR_INPUT, "%s: %s: type and rope_type contradict each other", what,
                       name);
    }
    TRY(config_string(what, path_of(name, first ? "type" : "rope_type", path),
                      first ? first : second, &type, e));
    *yarn = strcmp(type, "yarn") == 0;
    if (!*yarn && strcmp(type, "default") != 0) {
        return err_set(e, ERR_INPUT,
                       "%s: %s: type \"%.40s\" is not supported, \"yarn\" and \"default\" are",
                       what, name, type);
    }
    return OK;
}

/* Read an optional number above 0. */
static err_code read_positive(const char *what, const char *name, const json_t *object,
                              const char *key, double *value, err *e)
{
    char path[KEY_BYTES];
    const json_t *const given = config_given(object, key);
    return given ? config_real(what, path_of(name, key, path), given, 0, INFINITY, value, e) : OK;
}

static err_code read_yarn(const char *what, const char *name, const json_t *object, scaling *s,
                          err *e)
{
    char path[KEY_BYTES];
    *s = (scaling){.yarn = true, .beta_fast = 32, .beta_slow = 1, .attention = NAN};
    TRY(config_real(what, path_of(name, yarn_keys[0], path), json_object_get(object, yarn_keys[0]),
                    0, INFINITY, &s->factor, e));
    TRY(config_count(what, path_of(name, yarn_keys[1], path), json_object_get(object, yarn_keys[1]),
                     1, MODEL_MAX_POSITIONS, &s->original, e));
    TRY(read_positive(what, name, object, yarn_keys[2], &s->beta_fast, e));
    TRY(read_positive(what, name, object, yarn_keys[3], &s->beta_slow, e));
    TRY(read_positive(what, name, object, yarn_keys[4], &s->attention, e));
    return s->beta_fast >= s->beta_slow
               ? OK
               : err_set(e, ERR_INPUT, "%s: %s: beta_fast, %g, is less than beta_slow, %g", what,
                         name, s->beta_fast, s->beta_slow);
}

/* The default type has no parameters. */
static err_code check_default(const char *what, const char *name, const json_t *object, err *e)
{
    for (unsigned i = 0; i < YARN_KEYS; i++) {
        if (config_given(object, yarn_keys[i])) {
            return err_set(e, ERR_INPUT, "%s: %s.%s contradicts the type \"default\"", what, name,
                           yarn_keys[i]);
        }
    }
    return OK;
}

static err_code read_scaling(const char *what, const char *name, json_t *object, scaling *s, err *e)
{
    char found[CONFIG_SHOWN_BYTES];
    bool yarn = false;
    *s = (scaling){.attention = NAN};
    if (!json_is_object(object)) {
        TRY(config_show(object, found, e));
        return err_set(e, ERR_INPUT, "%s: %s: expected an object, found %s", what, name, found);
    }
    TRY(check_keys(what, name, object, e));
    TRY(read_type(what, name, object, &yarn, e));
    return yarn ? read_yarn(what, name, object, s, e) : check_default(what, name, object, e);
}

static bool is_same_scaling(const scaling *a, const scaling *b)
{
    return a->yarn == b->yarn && a->factor == b->factor && a->beta_fast == b->beta_fast &&
           a->beta_slow == b->beta_slow && a->original == b->original &&
           (a->attention == b->attention || (isnan(a->attention) && isnan(b->attention)));
}

static err_code read_scalings(const char *what, const json_t *json, scaling *out, err *e)
{
    json_t *const first = config_given(json, SCALING);
    json_t *const second = config_given(json, PARAMETERS);
    scaling other = {0};
    *out = (scaling){.attention = NAN};
    if (first) {
        TRY(read_scaling(what, SCALING, first, out, e));
    }
    if (second) {
        TRY(read_scaling(what, PARAMETERS, second, first ? &other : out, e));
    }
    return !first || !second || is_same_scaling(out, &other)
               ? OK
               : err_set(e, ERR_INPUT, "%s: " SCALING " and " PARAMETERS " contradict each other",
                         what);
}

/* The value of a key outside or within rope_parameters; NULL: the key is missing. */
static err_code find_outer(const char *what, const json_t *json, const char *key,
                           const json_t **value, err *e)
{
    const json_t *const outside = config_given(json, key);
    const json_t *const inside = config_given(json_object_get(json, PARAMETERS), key);
    *value = outside ? outside : inside;
    if (outside && inside && !config_same(outside, inside)) {
        return err_set(e, ERR_INPUT, "%s: %s and " PARAMETERS ".%s contradict each other", what,
                       key, key);
    }
    return OK;
}

static err_code read_rotary_dim(const char *what, const json_t *json, model_config *c, err *e)
{
    const bool whole = c->arch->rope.whole;
    const json_t *value = NULL;
    double share = 1;
    TRY(find_outer(what, json, PARTIAL, &value, e));
    if (value || !whole) {
        TRY(config_real(what, PARTIAL, value, 0, INFINITY, &share, e));
    }
    if (whole && share != 1) {
        return err_set(e, ERR_INPUT, "%s: " PARTIAL ": %g is not supported, only 1", what, share);
    }
    const double channels = floor(c->head_dim * share);
    if (share > 1 || channels < 2 || fmod(channels, 2) != 0) {
        return err_set(e, ERR_INPUT,
                       "%s: " PARTIAL ": %g of head_dim, %u, is not an even number of channels",
                       what, share, c->head_dim);
    }
    c->rotary_dim = (unsigned)channels;
    return OK;
}

err_code model_rope_read(const char *what, const json_t *json, model_config *c, err *e)
{
    const json_t *theta = NULL;
    scaling s;
    c->rope_theta = c->arch->rope.theta;
    TRY(find_outer(what, json, THETA, &theta, e));
    if (theta || c->rope_theta == 0) {
        TRY(config_real(what, THETA, theta, 1, INFINITY, &c->rope_theta, e));
    }
    TRY(read_rotary_dim(what, json, c, e));
    TRY(read_scalings(what, json, &s, e));
    c->yarn = s.yarn;
    c->yarn_factor = s.factor;
    c->yarn_original = s.original;
    c->yarn_beta_fast = s.beta_fast;
    c->yarn_beta_slow = s.beta_slow;
    c->yarn_attention = s.attention;
    return OK;
}
