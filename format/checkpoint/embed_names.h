/* What the name of a file next to the weights, NAME or DIR/NAME, says about it. A part of embed.c:
 * the built-in lists of spec/cli.md section 4.2, as tables.
 *
 *     if (embed_name_known("tokenizer.json")) ...         embedded unless --no-embed says otherwise
 *     else if (embed_name_matters("recipe.yaml")) ...     not embedded; the user should know
 *
 * No state: safe from several threads. */
#ifndef EMBED_NAMES_H
#define EMBED_NAMES_H

#include <stdbool.h>

/* Weights of the checkpoint, or an index of such: never embedded, whatever a glob says. */
bool embed_name_weights(const char *name);

/* Is a file of this name embedded by default? It is something that loaders read, code that they
 * run, or a license that has to be passed on. */
bool embed_name_known(const char *name);

/* Might a loader need a file of this name that is not known? False for what none reads: images,
 * texts for people, logs, weights of other formats, names that begin with a dot. */
bool embed_name_matters(const char *name);

/* Does a glob match a name? Component by component: '*' never matches a '/', so a glob without one
 * matches only names without one. */
bool embed_glob_match(const char *glob, const char *name);

/* Can a glob, or the built-in list, match a file in the directory `dir`? */
bool embed_glob_enters(const char *glob, const char *dir);
bool embed_name_enters(const char *dir);

#endif
