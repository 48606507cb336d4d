#include "format/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "format/base/printable.h"
#include "format/base/utf8.h"

/* Names come from files and paths and may contain escape sequences: what reaches a terminal, or JSON, is
 * printable. A text that was too long is first cut to whole characters, so that the end of the part that
 * is left does not look like invalid UTF-8. */
__attribute__((format(printf, 3, 0))) static void format_printable(char *to, size_t room,
                                                                   const char *format, va_list args)
{
    char text[sizeof((err *)0)->text];
    const int wanted = vsnprintf(text, sizeof text, format, args);
    if (wanted >= (int)sizeof text) {
        size_t last = sizeof text - 2;
        while (last > 0 && ((unsigned char)text[last] & 0xc0) == 0x80) {
            last--;
        }
        text[utf8_length(text + last, sizeof text - 1 - last) > 0 ? sizeof text - 1 : last] = '\0';
    }
    printable(to, room, text);
}

__attribute__((format(printf, 3, 0))) static void set_text(err *e, err_code code,
                                                           const char *format, va_list args)
{
    e->code = code;
    e->hint[0] = '\0';
    format_printable(e->text, sizeof e->text, format, args);
}

err_code err_set(err *e, err_code code, const char *format, ...)
{
    if (e && e->code == OK) {
        va_list args;
        va_start(args, format);
        set_text(e, code, format, args);
        va_end(args);
    }
    return code;
}

err_code err_set_errno(err *e, err_code code, int number, const char *format, ...)
{
    code = number == ENOMEM ? ERR_MEMORY : code;
    if (e && e->code == OK) {
        va_list args;
        va_start(args, format);
        set_text(e, code, format, args);
        va_end(args);
        size_t used = strlen(e->text);
        snprintf(e->text + used, sizeof e->text - used, ": %s", strerror(number));
    }
    return code;
}

void err_hint(err *e, const char *format, ...)
{
    if (e && e->hint[0] == '\0') {
        va_list args;
        va_start(args, format);
        format_printable(e->hint, sizeof e->hint, format, args);
        va_end(args);
    }
}

void err_prefix(err *e, const char *format, ...)
{
    if (!e || e->code == OK) {
        return;
    }
    char text[sizeof e->text];
    va_list args;
    va_start(args, format);
    format_printable(text, sizeof text - 2, format, args);
    va_end(args);
    size_t used = strlen(text);
    text[used++] = ':';
    text[used++] = ' ';
    printable(text + used, sizeof text - used, e->text); /* only to copy whole characters */
    memcpy(e->text, text, sizeof text);
}

err_code err_overrule(err *e, err_code code, const err *late)
{
    const bool is_verdict = code == OK || code == ERR_DIFFERENT || code == ERR_DAMAGED ||
                            code == ERR_INPUT || code == ERR_NUMERIC;
    if (late->code == OK || !is_verdict) {
        return code;
    }
    if (e) {
        *e = *late;
    }
    return late->code;
}

int err_exit_status(err_code code)
{
    static const int status[] = {
#define X(code, name, exit_status, text) exit_status,
        ERR_LIST(X)
#undef X
    };
    return status[code];
}

const char *err_name(err_code code)
{
    static const char *const names[] = {
#define X(code, name, exit_status, text) name,
        ERR_LIST(X)
#undef X
    };
    return names[code];
}

const char *err_description(err_code code)
{
    static const char *const texts[] = {
#define X(code, name, exit_status, text) text,
        ERR_LIST(X)
#undef X
    };
    return texts[code];
}

err_code err_worse(err_code a, err_code b)
{
    static const err_code order[] = {ERR_CANCELLED, ERR_INTERNAL, ERR_USAGE,   ERR_MEMORY,
                                     ERR_GPU,       ERR_IO,       ERR_DAMAGED, ERR_INPUT,
                                     ERR_DIFFERENT, ERR_NUMERIC};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (a == order[i] || b == order[i]) {
            return order[i];
        }
    }
    return OK;
}
