#include "bin/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cli/text.h"
#include "format/base/printable.h"

void table_start(table *t, const char *align)
{
    *t = (table){.align = align, .columns = (unsigned)strlen(align)};
}

/* Add a cell and take ownership of `text`, which may be NULL. */
static void put(table *t, char *text)
{
    if (t->used == t->room) {
        const size_t room = t->room ? 2 * t->room : 256;
        char **const cells = realloc(t->cells, room * sizeof *cells);
        if (!cells) {
            t->failed = true;
            free(text);
            return;
        }
        t->cells = cells;
        t->room = room;
    }
    t->cells[t->used++] = text;
}

__attribute__((format(printf, 2, 0))) static void put_format(table *t, const char *format,
                                                             va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0) {
        t->failed = true;
        return;
    }
    char *const cell = printable_copy(text);
    t->failed |= !cell;
    free(text);
    put(t, cell);
}

void table_cell(table *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_format(t, format, args);
    va_end(args);
}

void table_heading(table *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_format(t, format, args);
    va_end(args);
    for (unsigned i = 1; i < t->columns; i++) {
        put(t, NULL);
    }
}

static void measure(const table *t, unsigned *widths)
{
    for (size_t i = 0; i + t->columns <= t->used; i += t->columns) {
        for (unsigned c = 0; t->cells[i + 1] && c < t->columns; c++) {
            const unsigned width = text_columns(t->cells[i + c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
}

/* Spaces are printed only when something follows them, so no line ends with spaces. */
static void print_row(const table *t, char *const *row, const unsigned *widths, FILE *to)
{
    unsigned owed = 0;
    for (unsigned c = 0; c < t->columns; c++) {
        const unsigned fill = widths[c] - text_columns(row[c]);
        const bool right = t->align[c] == 'r';
        if (row[c][0]) {
            fprintf(to, "%*s%s", (int)(owed + (right ? fill : 0)), "", row[c]);
            owed = 0;
        }
        owed += 2 + (right && row[c][0] ? 0 : fill);
    }
    putc('\n', to);
}

bool table_print(const table *t, FILE *to)
{
    unsigned widths[TABLE_MAX_COLUMNS] = {0};
    if (t->failed) {
        return false;
    }
    measure(t, widths);
    for (size_t i = 0; i + t->columns <= t->used; i += t->columns) {
        if (t->cells[i + 1]) {
            print_row(t, &t->cells[i], widths, to);
        } else {
            fprintf(to, "%s\n", t->cells[i]);
        }
    }
    return ferror(to) == 0;
}

void table_free(table *t)
{
    for (size_t i = 0; i < t->used; i++) {
        free(t->cells[i]);
    }
    free(t->cells);
}

void table_header(table *t, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        table_cell(t, "%s", names[i]);
    }
}

err_code table_finish(table *t, err *e)
{
    const bool failed = !table_print(t, stdout) && t->failed;
    table_free(t);
    return failed ? err_set(e, ERR_MEMORY, "no memory for a table") : OK;
}
