/* How far an input may expand, on disk or in memory, beyond its own size.
 *
 *     expansion_raise(bytes);                      once, at the start: --max-expand
 *     if (needed > expansion_limit(64 * MIB)) ... refuse; the hint names --max-expand
 *
 * One number for the program: set before there are threads, and only read from then on. */
#ifndef EXPANSION_H
#define EXPANSION_H

#include <stdint.h>

/* Allow `bytes` wherever the usual limit is lower. */
void expansion_raise(uint64_t bytes);

/* The usual limit, or what expansion_raise allowed, if that is more. */
uint64_t expansion_limit(uint64_t usual);

#endif
