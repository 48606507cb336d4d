/* Signal handling as in xz: the handler only sets a flag; the job polls it, cleans up and returns;
 * then main raises the signal again with its default action.
 *
 * Handles INT, TERM, HUP, PIPE, XCPU and XFSZ; those that are ignored at the start stay ignored. A
 * second INT ends the process at once, without cleaning up. */
#ifndef SIGNALS_H
#define SIGNALS_H

/* Install the handlers, before any thread is started. */
void signals_install(void);

/* The first signal received, or after a SIGINT the first other one; 0: none. Any thread may call it. */
int signals_pending(void);

/* From now on no signal counts, not even one that has just arrived: the result is out, and it says how
 * the run ended. */
void signals_forget(void);

/* If a signal was received, restore its default action and raise it. Returns only if there was
 * none. */
void signals_reraise(void);

#endif
