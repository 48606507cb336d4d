/* What octavo does when a library ends the process, or crashes, for lack of memory.
 *
 *     static report r;               must stay until the process ends
 *     library_guard_start(&r);
 *
 * libarchive 3.6.2 does both: it calls exit(1) where it finds no memory for a string, and uses some
 * of what it allocates without looking whether it got it. Archives are read only before any output
 * is opened, so there is nothing to remove then: the process ends with a message and exit status 8.
 * A fault at any other time takes its usual course. */
#ifndef LIBRARY_GUARD_H
#define LIBRARY_GUARD_H

#include "bin/cli/report.h"

void library_guard_start(report *r);

#endif
