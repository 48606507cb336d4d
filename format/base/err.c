#include "format/base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "format/base/utf8.h"

/* Names come from files and paths and may contain escape sequences: what reaches a terminal, or
 * JSON, is printable UTF-8. U+0080 to U+009F are the one-character forms of sequences that begin
 * with ESC. */
static void mask_unprintable(char *text)
{
    const char *const end = text + strlen(text);
    for (char *p = text; p < end;) {
        const size_t length = utf8_length(p, (size_t)(end - p));
        const unsigned char c = (unsigned char)*p;
        const bool c1 = length == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0;
        if (length == 0 || c < 0x20 || c == 0x7f || c1) {
            *p++ = '?'; /* a second byte is masked next, since it is not a character by itself */
        } else {
            p += length;
        }
    }
}

__attribute__((format(printf, 3, 0))) static err_code set_text(err *e, err_code code,
                                                               const char *format, va_list args)
{
    e->code = code;
    e->hint[0] = '\0';
    vsnprintf(e->text, sizeof e->text, format, args);
    mask_unprintable(e->text);
    return code;
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
        vsnprintf(e->hint, sizeof e->hint, format, args);
        va_end(args);
        mask_unprintable(e->hint);
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
    vsnprintf(text, sizeof text - 2, format, args);
    va_end(args);
    size_t used = strlen(text);
    text[used++] = ':';
    text[used++] = ' ';
    const size_t rest = strlen(e->text);
    const size_t space = sizeof text - used - 1;
    const size_t kept = rest < space ? rest : space;
    memcpy(text + used, e->text, kept);
    text[used + kept] = '\0';
    memcpy(e->text, text, sizeof text);
    mask_unprintable(e->text);
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
