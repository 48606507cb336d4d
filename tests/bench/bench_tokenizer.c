/* How fast a tokenizer.json is read, and how fast text is tokenized.
 *
 *     bench_tokenizer TOKENIZER_JSON TEXT */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "verify/tokenizer/token_input.h"
#include "verify/tokenizer/tokenizer.h"

enum { REPETITIONS = 21 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(err_code code, const err *e)
{
    if (code != OK) {
        fprintf(stderr, "bench_tokenizer: %s\n", e->text);
        exit(1);
    }
}

/* The fastest of several rounds: the others were disturbed by something else. */
static void best(double *least, double begin)
{
    const double seconds = now() - begin;
    *least = *least == 0 || seconds < *least ? seconds : *least;
}

int main(int argc, char **argv)
{
    char *json = NULL;
    char *text = NULL;
    size_t json_bytes = 0, text_bytes = 0, ids = 0;
    double reading = 0, encoding = 0;
    err e = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: bench_tokenizer TOKENIZER_JSON TEXT\n");
        return 2;
    }
    must(token_input_text(argv[1], NULL, &json, &json_bytes, &e), &e);
    must(token_input_text(argv[2], NULL, &text, &text_bytes, &e), &e);
    for (int i = 0; i < REPETITIONS; i++) {
        tokenizer *t = NULL;
        token_list list = {0};
        double begin = now();
        must(tokenizer_create(argv[1], json, json_bytes, NULL, &t, &e), &e);
        best(&reading, begin);
        begin = now();
        must(tokenizer_encode(t, text, text_bytes, NULL, &list, &e), &e);
        best(&encoding, begin);
        ids = list.count;
        token_list_free(&list);
        tokenizer_free(t);
    }
    printf("%-28s %6.2f MB/s, %zu ids of %zu bytes, one thread\n", "tokenize",
           1e-6 * (double)text_bytes / encoding, ids, text_bytes);
    printf("%-28s %6.2f ms, %zu bytes\n", "read tokenizer.json", 1e3 * reading, json_bytes);
    free(json);
    free(text);
    return 0;
}
