#include "bin/cli/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXCPU, SIGXFSZ};

enum { CAUGHT = sizeof caught / sizeof caught[0] };

/* A global, because a handler has no context argument. Atomic, because the handler may run on any
 * thread, and all threads read it. */
static atomic_int pending;
enum { FORGOTTEN = -1 }; /* in its place: no signal counts any more */
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a handler may use only lock-free atomics");

/* A job may go on for a while after Ctrl-C, to finish what it is at; other signals end it soon also
 * then. */
static void remember(int number)
{
    int earlier = 0;
    if (atomic_compare_exchange_strong(&pending, &earlier, number) || earlier != SIGINT) {
        return;
    }
    if (number == SIGINT) {
        _exit(128 + SIGINT);
    }
    atomic_compare_exchange_strong(&pending, &earlier, number);
}

void signals_install(void)
{
    struct sigaction action = {.sa_handler = remember};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < CAUGHT; i++) {
        sigaddset(&action.sa_mask, caught[i]);
    }
    for (size_t i = 0; i < CAUGHT; i++) {
        struct sigaction old;
        if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaction(caught[i], &action, NULL);
        }
    }
}

int signals_pending(void)
{
    const int number = atomic_load(&pending);
    return number > 0 ? number : 0;
}

void signals_forget(void)
{
    atomic_store(&pending, FORGOTTEN);
}

void signals_reraise(void)
{
    const int number = signals_pending();
    if (number) {
        const struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(number, &action, NULL);
        raise(number);
    }
}
