#include "verify/rule/difference_list.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/json/json_memory.h"
#include "format/json/json_value.h"

enum { KEY_BYTES = 512 };

void difference_add(difference_list *list, const char *format, ...)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 16;
        char **const grown = reallocarray(list->items, capacity, sizeof *grown);
        if (!grown) {
            list->incomplete = true;
            return;
        }
        list->items = grown;
        list->capacity = capacity;
    }
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) {
        list->incomplete = true;
    } else {
        list->items[list->count++] = text;
    }
    va_end(args);
}

void difference_list_free(difference_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (difference_list){0};
}

/* ---- JSON ------------------------------------------------------ */

typedef struct json_pair {
    difference_list *list;
    const char *what;
    const char *const *sides;
} json_pair;

static void compare_values(const json_pair *p, const char *key, json_t *first, json_t *second);

/* Report the keys of `here` that `there` lacks; if `both`, also compare the values of the keys that
 * both have. */
static void compare_keys(const json_pair *p, const char *prefix, json_t *here, const json_t *there,
                         bool both)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(here, name, value)
    {
        char key[KEY_BYTES];
        json_t *const other = json_object_get(there, name);
        snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", name);
        if (!other) {
            difference_add(p->list, "%s: %s: only in %s", p->what, key, p->sides[both ? 0 : 1]);
        } else if (both) {
            compare_values(p, key, value, other);
        }
    }
}

static void compare_values(const json_pair *p, const char *key, json_t *first, json_t *second)
{
    if (json_is_object(first) && json_is_object(second)) {
        compare_keys(p, key, first, second, true);
        compare_keys(p, key, second, first, false);
    } else if (!config_same(first, second)) {
        char here[CONFIG_SHOWN_BYTES];
        char there[CONFIG_SHOWN_BYTES];
        p->list->incomplete |= config_show(first, here, NULL) != OK;
        p->list->incomplete |= config_show(second, there, NULL) != OK;
        difference_add(p->list, "%s%s%s: %s in %s, %s in %s", p->what, *key ? ": " : "", key, here,
                       p->sides[0], there, p->sides[1]);
    }
}

void difference_json(difference_list *list, const char *what, const char *const sides[2],
                     json_t *first, json_t *second)
{
    compare_values(&(json_pair){list, what, sides}, "", first, second);
}
