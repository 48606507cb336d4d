#include "bin/cli/library_guard.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/archive/archive_memory.h"

/* A handler has no context argument. All of it is written once, before anything can go wrong. */
static struct {
    bool json;
    char object[REPORT_FAILED_BYTES]; /* what --json prints */
    struct sigaction before;
} guard;

/* Nothing of octavo calls exit. */
static void on_exit_of_library(int status, void *ctx)
{
    report *const r = ctx;
    (void)status;
    if (!r->finished) {
        err e = {0};
        const err_code code = archive_memory_is_short() ? ERR_MEMORY : ERR_INTERNAL;
        err_set(&e, code, "%s: a library ended the run", err_description(code));
        _exit(report_finish(r, code, &e));
    }
}

static void say(int fd, const char *text)
{
    (void)!write(fd, text, strlen(text)); /* there is nothing left to do if it fails */
}

/* To return is to meet the same fault again, with the action that there was before. */
static void on_fault(int number)
{
    if (archive_memory_is_short()) {
        say(STDERR_FILENO, "octavo: not enough memory to read the archive\n");
        say(STDOUT_FILENO, guard.json ? guard.object : "");
        _exit(err_exit_status(ERR_MEMORY));
    }
    sigaction(number, &guard.before, NULL);
}

void library_guard_start(report *r)
{
    const struct sigaction action = {.sa_handler = on_fault};
    guard.json = r->json;
    report_failed_object(ERR_MEMORY, err_exit_status(ERR_MEMORY), guard.object);
    sigaction(SIGSEGV, &action, &guard.before);
    (void)on_exit(on_exit_of_library, r); /* without it, the exit status would be the library's */
}
