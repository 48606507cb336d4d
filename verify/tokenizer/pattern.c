#include "verify/tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verify/tokenizer/pattern_translate.h"

/* A match first gets few steps, then eight times as many, and so on; all except the first few are
 * charged to the budget. So the cost of a text is bounded by its length, and an ordinary match
 * takes one call. PCRE2 does not count how far it runs without a choice, for example `a*b` in a
 * text of "a", at every position again; there the limit is processor time. That limit is a hundred
 * times what a text usually takes, so that for a reasonable pattern the result never depends on the
 * machine. */
enum {
    FIRST_STEPS = 1000,
    MORE_STEPS = 8,
    STEPS_PER_BYTE = 64,
    STEPS_PER_TEXT = 100000000,
    SECONDS_PER_TEXT = 10,
    BYTES_PER_SECOND = 200000,
    LOOK_NS = 10000000,     /* between two looks at the processor time */
    HEAP_KIB = 64 << 10,    /* for one interpreted match */
    STACK_FIRST = 32 << 10, /* bytes, for one compiled match */
    STACK_LIMIT = 16 << 20,
};

struct pattern {
    pcre2_code *code;
};

struct pattern_scratch {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack; /* NULL if PCRE2 has no JIT compiler here */
    uint64_t steps;         /* left in the budget */
    int64_t look;           /* when to look again, by the coarse clock */
    time_t deadline;        /* in seconds of this thread */
    const monitor *monitor;
};

/* A pattern is always tried at one position, so PCRE2 must not search (PCRE2_ANCHORED). */
static const uint32_t options =
    PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE;

static err_code failed(int number, err *e)
{
    PCRE2_UCHAR text[256] = "";
    if (number == PCRE2_ERROR_NOMEMORY || number == PCRE2_ERROR_HEAP_FAILED) {
        return err_set(e, ERR_MEMORY, "no memory for a pattern");
    }
    pcre2_get_error_message(number, text, sizeof text);
    return err_set(e, ERR_INPUT, "the pattern: %s", (const char *)text);
}

static err_code compile_code(const char *translated, pcre2_code **out, err *e)
{
    int number = 0;
    PCRE2_SIZE at = 0;
    uint32_t empty = 0;
    *out =
        pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED, options, &number, &at, NULL);
    if (!*out) {
        return failed(number, e);
    }
    if (pcre2_pattern_info(*out, PCRE2_INFO_MATCHEMPTY, &empty) != 0 || empty) {
        return err_set(e, ERR_INPUT,
                       "the pattern can match the empty string, which is not supported");
    }
    (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* if it fails, matching is only slower */
    return OK;
}

/* Compile a translated pattern, and free the translation. */
static err_code compile_and_free(char *translated, pattern **out, err *e)
{
    pattern *p = calloc(1, sizeof *p);
    err_code code = OK;
    if (!p) {
        TRY_OUT(err_set(e, ERR_MEMORY, "no memory for a pattern"));
    }
    TRY_OUT(compile_code(translated, &p->code, e));
    *out = p;
    p = NULL;
out:
    pattern_free(p);
    free(translated);
    return code;
}

err_code pattern_compile(const char *text, size_t bytes, pattern **out, err *e)
{
    char *translated = NULL;
    *out = NULL;
    TRY(pattern_translate(text, bytes, &translated, e));
    return compile_and_free(translated, out, e);
}

err_code pattern_literal(const char *text, size_t bytes, pattern **out, err *e)
{
    char *translated = NULL;
    *out = NULL;
    TRY(pattern_translate_literal(text, bytes, &translated, e));
    return compile_and_free(translated, out, e);
}

err_code pattern_native(const char *text, pattern **out, err *e)
{
    char *const copy = strdup(text);
    *out = NULL;
    return copy ? compile_and_free(copy, out, e)
                : err_set(e, ERR_MEMORY, "no memory for a pattern");
}

err_code pattern_word(pattern **out, err *e)
{
    char *translated = NULL;
    *out = NULL;
    TRY(pattern_translate_word(&translated, e));
    return compile_and_free(translated, out, e);
}

void pattern_free(pattern *p)
{
    if (p) {
        pcre2_code_free(p->code);
        free(p);
    }
}

err_code pattern_scratch_create(pattern_scratch **out, err *e)
{
    uint32_t jit = 0;
    *out = NULL;
    pattern_scratch *const s = calloc(1, sizeof *s);
    if (s) {
        s->context = pcre2_match_context_create(NULL);
        s->data = pcre2_match_data_create(1, NULL);
    }
    if (s && pcre2_config(PCRE2_CONFIG_JIT, &jit) == 0 && jit) {
        s->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_LIMIT, NULL);
    }
    if (!s || !s->context || !s->data || (jit && !s->stack)) {
        pattern_scratch_free(s);
        return err_set(e, ERR_MEMORY, "no memory to match a pattern");
    }
    pcre2_set_heap_limit(s->context, HEAP_KIB);
    pcre2_jit_stack_assign(s->context, NULL, s->stack);
    *out = s;
    return OK;
}

void pattern_scratch_free(pattern_scratch *s)
{
    if (s) {
        pcre2_jit_stack_free(s->stack);
        pcre2_match_data_free(s->data);
        pcre2_match_context_free(s->context);
        free(s);
    }
}

/* Processor time of this thread; 0 if it is not known. */
static time_t seconds(void)
{
    struct timespec now = {0};
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0 ? now.tv_sec : 0;
}

/* A clock that costs less than a match, unlike that of processor time. */
static int64_t coarse_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* if it fails: look at every match */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void pattern_budget(pattern_scratch *s, size_t bytes, const monitor *m)
{
    s->monitor = m;
    s->look = 0;
    s->deadline = seconds() + SECONDS_PER_TEXT + (time_t)(bytes / BYTES_PER_SECOND);
    s->steps = STEPS_PER_TEXT + (uint64_t)bytes * STEPS_PER_BYTE;
}

static err_code too_much(err *e)
{
    return err_set(e, ERR_INPUT, "a pattern needs too many steps to split this text");
}

/* Every 10 ms: a match may take much longer than another, so matches are not counted. */
static err_code look(pattern_scratch *s, err *e)
{
    const int64_t now = coarse_ns();
    if (now < s->look) {
        return OK;
    }
    s->look = now + LOOK_NS;
    if (monitor_cancelled(s->monitor)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    return seconds() > s->deadline ? too_much(e) : OK;
}

err_code pattern_match(const pattern *p, pattern_scratch *s, const char *text, size_t bytes,
                       size_t at, size_t *end, err *e)
{
    int found = PCRE2_ERROR_MATCHLIMIT;
    *end = 0;
    TRY(look(s, e));
    for (uint64_t steps = FIRST_STEPS; found == PCRE2_ERROR_MATCHLIMIT; steps *= MORE_STEPS) {
        const uint64_t charge = steps == FIRST_STEPS ? 0 : steps;
        if (charge > s->steps || steps > UINT32_MAX) {
            return too_much(e);
        }
        s->steps -= charge;
        pcre2_set_match_limit(s->context, (uint32_t)steps);
        found = pcre2_match(p->code, (PCRE2_SPTR)text, bytes, at, PCRE2_NO_UTF_CHECK, s->data,
                            s->context);
    }
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
        return failed(found, e);
    }
    *end = found < 0 ? 0 : pcre2_get_ovector_pointer(s->data)[1];
    return OK;
}
