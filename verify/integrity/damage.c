#include "verify/integrity/damage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void damage_list_init(damage_list *list)
{
    *list = (damage_list){.lock = PTHREAD_MUTEX_INITIALIZER};
}

/* Takes over the texts of `d`; they are NULL if there was no memory for them. */
static void append(damage_list *list, damage *d)
{
    pthread_mutex_lock(&list->lock);
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 16;
        damage *const grown = reallocarray(list->items, capacity, sizeof *grown);
        if (grown) {
            list->items = grown;
            list->capacity = capacity;
        }
    }
    if (d->place && d->what && list->count < list->capacity) {
        list->items[list->count++] = *d;
        *d = (damage){0};
    } else {
        list->incomplete = true;
    }
    pthread_mutex_unlock(&list->lock);
    free(d->place);
    free(d->what);
}

void damage_add(damage_list *list, const damage *at, const char *place, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    const int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0) {
        text = NULL;
    }
    damage d = *at;
    d.place = strdup(place);
    d.what = text;
    const size_t skip = strlen(place);
    if (text && strncmp(text, place, skip) == 0 && strncmp(text + skip, ": ", 2) == 0) {
        d.what = strdup(text + skip + 2);
        free(text);
    }
    append(list, &d);
}

void damage_list_move(damage_list *from, damage_list *to)
{
    for (size_t i = 0; i < from->count; i++) {
        append(to, &from->items[i]);
    }
    to->incomplete = to->incomplete || from->incomplete;
    from->count = 0;
}

bool damage_list_touches(const damage_list *list, uint64_t begin, uint64_t end)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].off >= begin && list->items[i].off < end) {
            return true;
        }
    }
    return false;
}

/* By offset, then by text: findings at one offset are added in an order that depends on the
 * threads, and the report must not. */
static int compare(const void *a, const void *b)
{
    const damage *const x = a;
    const damage *const y = b;
    if (x->off != y->off) {
        return x->off < y->off ? -1 : 1;
    }
    const int order = strcmp(x->place, y->place);
    return order ? order : strcmp(x->what, y->what);
}

err_code damage_list_finish(damage_list *list, integrity_report *out, err *e)
{
    if (list->count > 1) {
        qsort(list->items, list->count, sizeof *list->items, compare);
    }
    out->damages = list->items;
    out->count = list->count;
    list->items = NULL;
    list->count = list->capacity = 0;
    return list->incomplete ? err_set(e, ERR_MEMORY, "no memory for the list of damaged places")
                            : OK;
}

static void free_items(damage *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(items[i].place);
        free(items[i].what);
    }
    free(items);
}

void damage_list_free(damage_list *list)
{
    free_items(list->items, list->count);
    pthread_mutex_destroy(&list->lock);
}

void integrity_report_free(integrity_report *r)
{
    free_items(r->damages, r->count);
    *r = (integrity_report){0};
}
