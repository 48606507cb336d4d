/* The files that hold the texts of the command line: files, and directories of them.
 *
 *     dir_list files;
 *     text_files_find(paths, count, NULL, m, &files, e);
 *     ... files.names[0 ... files.count - 1] ...
 *     dir_list_free(&files);                           also after an error
 *
 * The files of a directory are those beneath it whose names end like those of texts, in the order of
 * the bytes of their paths (`find DIR | LC_ALL=C sort`). Links to files are followed, links to
 * directories are not. A note names what was left out. A file that is named itself may have any name. */
#ifndef TEXT_FILES_H
#define TEXT_FILES_H

#include <stdbool.h>

#include "format/base/err.h"
#include "format/base/monitor.h"
#include "format/file/dir_list.h"

/* The endings of texts in a directory; each may be followed by one of the others. */
#define TEXT_FILES_ENDINGS        ".txt, .text, .md, .jsonl, .ndjson"
#define TEXT_FILES_PACKED_ENDINGS ".gz, .zst, .xz, .bz2"

/* The most entries that are searched for texts. */
enum { TEXT_FILES_MAX = 1 << 20 };

/* Directories are listed, and every file that is named is opened once, so that a wrong name is found
 * before any work is done. "-", standard input, may be named once. `field` is that of --text-field,
 * NULL if it is not given. Errors: ERR_USAGE "-" twice, or a field without JSON lines; ERR_IO; ERR_INPUT a directory without texts, or with too many entries; ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code text_files_find(const char *const *paths, size_t count, const char *field,
                                    const monitor *m, dir_list *out, err *e);

/* Does this file hold JSON lines, by its name? A text may begin with a brace. */
bool text_files_is_lines(const char *path);

#endif
