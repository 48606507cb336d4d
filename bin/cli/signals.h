/* Signals, the way of xz: the handler only sets a flag, the job sees it, cleans up and returns, and
 * main lets the signal do to the process what it would have done at once.
 *
 * INT, TERM, HUP, PIPE, XCPU, XFSZ; those that were ignored at the start stay ignored. A second INT
 * ends the process without any cleaning up. */
#ifndef SIGNALS_H
#define SIGNALS_H

/* Install the handlers, before any thread is started. */
void signals_install(void);

/* The first signal that came, 0: none. */
int signals_pending(void);

/* If one came: restore its default action and raise it. Returns only if none came. */
void signals_reraise(void);

#endif
