#include "bin/signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXCPU, SIGXFSZ};

enum { CAUGHT = sizeof caught / sizeof caught[0] };

/* The only mutable global of the program: a handler has nothing else to write to. */
static volatile sig_atomic_t pending;

static void remember(int number)
{
    if (number == SIGINT && pending == SIGINT) {
        _exit(128 + SIGINT);
    }
    if (!pending) {
        pending = number;
    }
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
    return pending;
}

void signals_reraise(void)
{
    const int number = pending;
    if (number) {
        const struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(number, &action, NULL);
        raise(number);
    }
}
