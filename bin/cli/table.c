#include "bin/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cli/text.h"
#include "format/base/printable.h"

/* Of a heading. No cell begins with it: it is not printable. */
enum { HEADING_MARK = '\n' };

void table_start(table *t, const char *align)
{
    *t = (table){.align = align, .columns = (unsigned)strlen(align)};
}

/* Room for `bytes` more. A table of a million rows grows in a few steps, without an allocation for
 * each cell. */
static bool reserve(table *t, size_t bytes)
{
    if (t->failed || bytes > t->room - t->used) {
        const size_t room = t->room + t->room / 2 + bytes + 4096;
        char *const text = t->failed ? NULL : realloc(t->text, room);
        t->failed = !text;
        t->text = text ? text : t->text;
        t->room = text ? room : t->room;
    }
    return !t->failed;
}

static void put_text(table *t, const char *text)
{
    char *const cell = printable_copy(text);
    const size_t bytes = cell ? strlen(cell) + 1 : 0;
    t->failed |= !cell;
    if (reserve(t, bytes)) {
        memcpy(t->text + t->used, cell, bytes);
        t->used += bytes;
    }
    free(cell);
}

__attribute__((format(printf, 2, 0))) static void put_format(table *t, const char *format,
                                                             va_list args)
{
    char small[256]; /* for most cells */
    char *large = NULL;
    va_list again;
    va_copy(again, args);
    const int length = vsnprintf(small, sizeof small, format, args);
    if (length < 0 || ((size_t)length >= sizeof small && vasprintf(&large, format, again) < 0)) {
        t->failed = true;
        large = NULL;
    } else {
        put_text(t, large ? large : small);
    }
    va_end(again);
    free(large);
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
    if (reserve(t, 1)) {
        t->text[t->used++] = HEADING_MARK;
    }
    va_start(args, format);
    put_format(t, format, args);
    va_end(args);
}

/* Point row[] to the cells that begin at *at, and move on; false at the end, or at an incomplete
 * row. Of a heading there is row[0], with its mark. */
static bool next_row(const table *t, size_t *at, const char **row)
{
    const bool heading = *at < t->used && t->text[*at] == HEADING_MARK;
    unsigned c = 0;
    for (; *at < t->used && c < (heading ? 1 : t->columns); c++) {
        row[c] = t->text + *at;
        *at += strlen(row[c]) + 1;
    }
    return c > 0 && c == (heading ? 1 : t->columns);
}

static void measure(const table *t, unsigned *widths)
{
    const char *row[TABLE_MAX_COLUMNS];
    for (size_t at = 0; next_row(t, &at, row);) {
        for (unsigned c = 0; row[0][0] != HEADING_MARK && c < t->columns; c++) {
            const unsigned width = text_columns(row[c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
}

static void put_spaces(unsigned count, FILE *to)
{
    for (; count > 0; count--) {
        putc(' ', to);
    }
}

/* Spaces are printed only when something follows them, so no line ends with spaces. */
static void print_row(const table *t, const char *const *row, const unsigned *widths, FILE *to)
{
    unsigned owed = 0;
    for (unsigned c = 0; c < t->columns; c++) {
        const unsigned fill = widths[c] - text_columns(row[c]);
        const bool right = t->align[c] == 'r';
        if (row[c][0]) {
            put_spaces(owed + (right ? fill : 0), to);
            fputs(row[c], to);
            owed = 0;
        }
        owed += 2 + (right && row[c][0] ? 0 : fill);
    }
    putc('\n', to);
}

bool table_print(const table *t, FILE *to)
{
    unsigned widths[TABLE_MAX_COLUMNS] = {0};
    const char *row[TABLE_MAX_COLUMNS];
    if (t->failed) {
        return false;
    }
    measure(t, widths);
    for (size_t at = 0; next_row(t, &at, row);) {
        if (row[0][0] == HEADING_MARK) {
            fprintf(to, "%s\n", row[0] + 1);
        } else {
            print_row(t, row, widths, to);
        }
    }
    return ferror(to) == 0;
}

void table_free(table *t)
{
    free(t->text);
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
