#include "bin/cli/progress.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "bin/cli/text.h"

enum { LINE_BYTES = 160 };

double progress_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_init(progress *p, FILE *to, progress_when when)
{
    const bool terminal = isatty(fileno(to)) == 1;
    const bool silent = when == PROGRESS_NEVER || (when == PROGRESS_AUTO && !terminal);
    *p = (progress){.to = silent ? NULL : to,
                    .terminal = terminal,
                    .when = when,
                    .lock = PTHREAD_MUTEX_INITIALIZER};
}

void progress_free(progress *p)
{
    progress_clear(p);
    pthread_mutex_destroy(&p->lock);
}

void progress_stage(progress *p, const char *name, uint64_t total)
{
    pthread_mutex_lock(&p->lock);
    snprintf(p->stage, sizeof p->stage, "%s", name);
    p->done = 0;
    p->total = total;
    p->started = progress_clock();
    if (p->last == 0) {
        p->last = p->started; /* so a short job does not show progress at all */
    }
    pthread_mutex_unlock(&p->lock);
}

/* "0:14 left", from the mean speed of the stage. */
static const char *time_left(char *to, uint64_t done, uint64_t total, double seconds)
{
    const double left = done ? (double)(total - done) / (double)done * seconds : 0;
    if (done == 0 || seconds < 1 || left > 359999) {
        *to = '\0';
        return to;
    }
    const unsigned s = (unsigned)(left + 0.5);
    if (s < 3600) {
        snprintf(to, TEXT_BYTES, "  %u:%02u left", s / 60, s % 60);
    } else {
        snprintf(to, TEXT_BYTES, "  %u:%02u:%02u left", s / 3600, s / 60 % 60, s % 60);
    }
    return to;
}

void progress_line(char *to, size_t room, const char *stage, uint64_t done, uint64_t total,
                   double seconds)
{
    shown size, rate, whole, left;
    text_size(size.s, done);
    text_rate(rate.s, done, seconds);
    if (total == 0) {
        snprintf(to, room, "%-9s %7s  %10s", stage, size.s, rate.s);
        return;
    }
    done = done < total ? done : total;
    const unsigned percent = (unsigned)((double)done / (double)total * 100);
    snprintf(to, room, "%-9s %7s of %s  %3u %%  %10s%s", stage, size.s, text_size(whole.s, total),
             percent, rate.s, time_left(left.s, done, total, seconds));
}

/* A job in the background must not draw over the program in the foreground. */
static bool is_visible(const progress *p)
{
    return p->when == PROGRESS_ALWAYS || !p->terminal || tcgetpgrp(fileno(p->to)) == getpgrp();
}

static void draw(progress *p, double now)
{
    char line[LINE_BYTES];
    progress_line(line, sizeof line, p->stage, p->done, p->total, now - p->started);
    if (!p->terminal) {
        fprintf(p->to, "%s\n", line);
        return;
    }
    struct winsize size;
    int columns = 80;
    if (ioctl(fileno(p->to), TIOCGWINSZ, &size) == 0 && size.ws_col > 1) {
        columns = size.ws_col;
    }
    fprintf(p->to, "\r%.*s\033[K", columns - 1, line);
    fflush(p->to);
    p->on_screen = true;
}

void progress_advance_at(progress *p, uint64_t bytes, double now)
{
    pthread_mutex_lock(&p->lock);
    p->done += bytes;
    const double pause = p->terminal ? 0.25 : 1;
    if (p->to && p->stage[0] && now - p->last >= pause && is_visible(p)) {
        p->last = now;
        draw(p, now);
    }
    pthread_mutex_unlock(&p->lock);
}

void progress_advance(progress *p, uint64_t bytes)
{
    progress_advance_at(p, bytes, progress_clock());
}

void progress_clear(progress *p)
{
    pthread_mutex_lock(&p->lock);
    if (p->on_screen) {
        fputs("\r\033[K", p->to);
        fflush(p->to);
        p->on_screen = false;
    }
    pthread_mutex_unlock(&p->lock);
}
