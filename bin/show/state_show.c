#include "bin/show/state_show.h"

#include <inttypes.h>
#include <string.h>

const char *state_text(const tensor_state *s, char text[STATE_TEXT_BYTES])
{
    static const char *const words[] = {[STATE_PLAIN] = "plain",
                                        [STATE_BLOCK_FP8] = "block FP8",
                                        [STATE_FP8] = "FP8",
                                        [STATE_FOREIGN] = "quantized by ",
                                        [STATE_PART] = "part"};
    const bool named = s->kind == STATE_FOREIGN || s->kind == STATE_FP8;
    snprintf(text, STATE_TEXT_BYTES, "%s%s", s->kind == STATE_FP8 ? "" : words[s->kind],
             named && s->method ? s->method : "");
    return text;
}

void state_put(report *r, json_t *o, const tensor_state *s)
{
    report_put(r, o, "state", report_text(state_name(s->kind)));
    if (s->method) {
        report_put(r, o, "method", report_text(s->method));
    }
}

static bool is_alike(const tensor_state *a, const tensor_state *b)
{
    const bool same_method =
        a->method == b->method || (a->method && b->method && strcmp(a->method, b->method) == 0);
    return a->kind == b->kind && (a->kind == STATE_PART || same_method);
}

/* States with different methods are counted separately. There are few; more than these share the
 * last place. */
enum { MAX_SHOWN = 16 };

typedef struct tally {
    const tensor_state *of[MAX_SHOWN];
    uint64_t tensors[MAX_SHOWN];
    size_t count;
} tally;

static void add(tally *t, const tensor_state *s, uint64_t tensors)
{
    size_t k = 0;
    while (k < t->count && !is_alike(t->of[k], s)) {
        k++;
    }
    if (k == t->count && tensors > 0 && k < MAX_SHOWN) {
        t->of[t->count++] = s;
    }
    t->tensors[k < MAX_SHOWN ? k : MAX_SHOWN - 1] += tensors;
}

void state_print_counts(const tensor_states *s, state_count count, const void *ctx)
{
    tally t = {0};
    char text[STATE_TEXT_BYTES];
    for (size_t i = 0; i < s->count; i++) {
        add(&t, &s->of[i], count ? count(ctx, i) : 1);
    }
    printf("states     ");
    for (size_t k = 0; k < t.count; k++) {
        printf("%s%" PRIu64 " %s", k > 0 ? ", " : "", t.tensors[k], state_text(t.of[k], text));
    }
    putchar('\n');
}
