/* Finds the files next to the weights and says of each whether it is embedded. A part of embed.c. */
#ifndef EMBED_FIND_H
#define EMBED_FIND_H

#include "format/checkpoint/embed.h"

typedef struct embed_search {
    const embed_glob *globs;
    size_t glob_count;
    const monitor *monitor; /* is asked for cancellation; may be NULL */
    embed_list *out;        /* with `from` set; gets the files, sorted by name */
} embed_search;

/* ERR_IO, ERR_MEMORY, ERR_CANCELLED. What was found is released with the list, also after an error. */
MUST_CHECK err_code embed_find(const embed_search *s, err *e);

/* Is this the entry of a directory that was not looked into? */
bool embed_is_directory(const char *name);

#endif
