#include "format/base/monitor.h"

#include <stdarg.h>
#include <stdio.h>

void monitor_note(const monitor *m, const char *format, ...)
{
    if (!m || !m->note) {
        return;
    }
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    m->note(m->ctx, text);
}
