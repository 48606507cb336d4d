#include "format/base/text_list.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* "; ... and 18446744073709551615 more" and its NUL */
enum { TAIL_BYTES = 40 };

bool text_list_add(text_list *list, const char *format, ...)
{
    const bool closed = list->shown != list->total;
    list->total++;
    if (closed) {
        return false;
    }
    const size_t mark = list->used;
    const char *separator = mark ? "; " : "";
    char *to = list->text + mark;
    const size_t space = sizeof list->text - TAIL_BYTES - mark;
    const size_t begun = (size_t)snprintf(to, space, "%s", separator);
    if (begun >= space) {
        to[0] = '\0';
        return false;
    }
    va_list args;
    va_start(args, format);
    const int bytes = vsnprintf(to + begun, space - begun, format, args);
    va_end(args);
    if (bytes < 0 || (size_t)bytes >= space - begun) {
        to[0] = '\0';
        return false;
    }
    list->used += begun + (size_t)bytes;
    list->shown++;
    return true;
}

const char *text_list_end(text_list *list)
{
    if (list->total > list->shown) {
        snprintf(list->text + list->used, sizeof list->text - list->used, "%s... and %zu more",
                 list->used ? "; " : "", list->total - list->shown);
    }
    return list->text;
}
