/* Refuses system calls that octavo never makes once its work begins, by seccomp: starting programs
 * and processes, sockets, looking into other processes, signalling them and changing their limits,
 * mounting, changing owners and modes of files by name, and what has been of use to exploits of the
 * kernel.
 *
 *     if (!syscall_filter_enforce()) ... errno says why the kernel refuses
 *
 * They fail with EPERM. Concerns all threads; there is no way back. */
#ifndef SYSCALL_FILTER_H
#define SYSCALL_FILTER_H

#include <stdbool.h>

bool syscall_filter_enforce(void);

#endif
