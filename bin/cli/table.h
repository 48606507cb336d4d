/* Prints a table whose columns are as wide as their widest cells.
 *
 *     table t;
 *     table_start(&t, "lrr");                     left, right, right
 *     table_heading(&t, "layers 1-3");            a line across all columns
 *     table_cell(&t, "%s", name); ...             three cells make a row
 *     table_print(&t, stdout);                    false: memory or output failed
 *     table_free(&t);
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "format/base/err.h"

enum { TABLE_MAX_COLUMNS = 12 };

typedef struct table {
    const char *align; /* a letter per column: l or r */
    unsigned columns;
    char *text; /* the cells in order, each NUL-terminated; a heading is a mark and one cell */
    size_t used, room;
    bool failed; /* no memory: cells are missing */
} table;

void table_start(table *t, const char *align);

/* Add the next cell; what is not printable is escaped. */
void table_cell(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Add a line without columns. The row before it must be complete. */
void table_heading(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Add a row with the names of the columns. */
void table_header(table *t, const char *const *names, size_t count);

/* Print all rows, two spaces between columns, no space at line ends. */
bool table_print(const table *t, FILE *to);

void table_free(table *t);

/* Print the table on standard output, and free it. ERR_MEMORY: cells are missing. Failed writes are
 * reported when standard output is closed (report_finish). */
MUST_CHECK err_code table_finish(table *t, err *e);

#endif
