/* config.json as it was embedded, and as it stands beside the checkpoint: key by key, whatever the
 * spelling of the file. */
#include <stdio.h>
#include <stdlib.h>

#include "format/json.h"
#include "verify/compare.h"
#include "verify/config_value.h"

#define CONFIG "config.json"

enum { KEY_BYTES = 512 };

static void compare_values(difference_list *list, const char *key, json_t *packed, json_t *source);

/* The keys of `here`, all of them with the values of `there` if `both`, else those that `there`
 * lacks. */
static void compare_keys(difference_list *list, const char *prefix, json_t *here,
                         const json_t *there, bool both)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(here, name, value)
    {
        char key[KEY_BYTES];
        json_t *const other = json_object_get(there, name);
        snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", name);
        if (!other) {
            difference_add(list, CONFIG ": %s: only in the %s", key,
                           both ? "packed file" : "source");
        } else if (both) {
            compare_values(list, key, value, other);
        }
    }
}

static void compare_values(difference_list *list, const char *key, json_t *packed, json_t *source)
{
    if (json_is_object(packed) && json_is_object(source)) {
        compare_keys(list, key, packed, source, true);
        compare_keys(list, key, source, packed, false);
    } else if (!config_same(packed, source)) {
        char here[CONFIG_SHOWN_BYTES];
        char there[CONFIG_SHOWN_BYTES];
        difference_add(list, CONFIG ": %s: %s in the packed file, %s in the source", key,
                       config_show(packed, here), config_show(source, there));
    }
}

/* *out stays NULL without a text, which is freed. */
static err_code parse(const char *what, char *text, size_t bytes, json_t **out, err *e)
{
    const err_code code = text ? json_parse(what, text, bytes, true, out, e) : OK;
    free(text);
    return code;
}

static err_code load_both(const compare *c, json_t **packed, json_t **source, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    err_code code = pack_read_member(c->p, CONFIG, &text, &bytes, e);
    if (code == OK) {
        code = parse("the embedded " CONFIG, text, bytes, packed, e);
    }
    if (code == OK) {
        code = checkpoint_read_file(c->cp, CONFIG, &text, &bytes, e);
    }
    if (code == OK) {
        code = parse("the source's " CONFIG, text, bytes, source, e);
    }
    return code;
}

/* A file that only one side has was left out on purpose (--no-embed), or a part of the checkpoint
 * is looked at: nothing to compare, which is worth a note. */
err_code compare_configs(compare *c, err *e)
{
    json_t *packed = NULL;
    json_t *source = NULL;
    const err_code code = load_both(c, &packed, &source, e);
    if (code == OK && packed && source) {
        compare_values(&c->differences, "", packed, source);
    } else if (code == OK && (packed || source)) {
        monitor_note(c->monitor, CONFIG " is only in the %s: not compared",
                     packed ? "packed file" : "source");
    }
    json_decref(packed);
    json_decref(source);
    return code;
}
